"""Lines for people, made of what the server answered. Pure."""
