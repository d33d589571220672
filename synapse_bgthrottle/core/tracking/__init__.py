"""The queue, the runs of updates, their progress and time left. Imports `scheduling` and what it
imports."""
