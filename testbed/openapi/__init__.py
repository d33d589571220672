"""Describes the HTTP API in OpenAPI, by the records of the package: `make openapi`."""
