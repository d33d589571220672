"""Makes the OpenAPI description from the package's records: `make openapi`."""
