"""The only code that touches Synapse's private attributes. Each is guarded, and the module works
without it."""
