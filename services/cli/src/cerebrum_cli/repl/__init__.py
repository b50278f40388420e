"""The conversation in the terminal, and the same commands from a pipe."""
