"""The HTTP API: `resource` is what Synapse serves, `handlers.Service` what the module must have."""
