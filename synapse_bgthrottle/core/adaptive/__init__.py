"""The adaptive duty cycle: who is active, what updates cost them, and how fast to go. Imports
`config`, `signals`, `units`."""
