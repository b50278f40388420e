"""What the engine decides, without doing it: who runs, how many rows, what is kept, when to refuse. No I/O."""
