"""Pictures and documents of what was measured."""
