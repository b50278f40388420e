"""HTTP: parse, call the engine, render. Nothing is decided here."""
