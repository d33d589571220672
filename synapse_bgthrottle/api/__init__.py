"""The HTTP API: what Synapse serves is in `resource`, what it asks the module for in `service`."""
