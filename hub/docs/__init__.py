"""The description of the API: for programs by OpenAPI and AsyncAPI, for people by a page."""
