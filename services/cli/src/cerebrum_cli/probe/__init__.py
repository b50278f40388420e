"""One synthetic completion, for a timer: is there an answer, and how fast. Told to the node exporter by a text file."""
