"""Laws compared on the modelled server."""
