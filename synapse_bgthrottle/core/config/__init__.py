"""The configuration: YAML into frozen settings, with every problem at once. Imports `signals`,
`units`."""
