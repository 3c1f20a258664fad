"""The description of the API, for programs by OpenAPI and AsyncAPI and for people by a page, and the guides."""
