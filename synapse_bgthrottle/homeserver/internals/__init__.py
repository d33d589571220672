"""The only code that touches Synapse's private attributes. Each access is guarded, and the module
works without any of them."""
