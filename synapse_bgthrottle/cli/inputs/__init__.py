"""What the command reads: files, the configuration, settings, and what a forecast rests on."""
