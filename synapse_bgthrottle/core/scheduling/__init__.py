"""Decides for each iteration: what holds the update, how long it rests, how large the batch is."""
