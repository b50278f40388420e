"""An answer on its way to the reader: where its code is, how that is coloured, what it cost. Pure."""
