"""An error at every call in the module, one at a time."""
