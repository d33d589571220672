"""What the module itself costs."""
