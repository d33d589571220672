"""What administrators do by hand: pause, override, release. Imports `config`, `units`."""
