"""The module's own tables: levers, history, hours of the week."""
