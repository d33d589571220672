"""The HTTP API: what it asks for is in `steering`, what Synapse serves is in `resource`."""
