"""What protects the edge and its backends from too much work."""
