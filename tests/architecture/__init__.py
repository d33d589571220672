"""What may import what, beside the import contracts."""
