"""Continuous batching: a thread for each model that is in memory, and the event loop's side of it."""
