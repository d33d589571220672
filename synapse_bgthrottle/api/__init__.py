"""The HTTP API: `resource` is what Synapse serves, `service` is what it needs from the module."""
