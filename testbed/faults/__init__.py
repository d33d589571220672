"""What can go wrong around a server, and the worlds in which it does."""
