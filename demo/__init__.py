"""`make demo`: a real Synapse with the module, an update, and clients that come and go."""
