"""A modelled server in virtual time, on which the real decision code runs. Pure."""
