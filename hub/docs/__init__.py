"""The description of the API, by OpenAPI and AsyncAPI and by a page, and the guides."""
