"""What can go wrong with the store. The text is for a person: what happened, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class StoreError(Exception):
    """A model could not be fetched, or the store cannot be used."""


class NoRoom(StoreError):
    """The store's volume is full, or would be: other models would fail in the same way."""


class Busy(StoreError):
    """Somebody else works on the store."""


class Several(StoreError):
    """More than one model failed; the text has a line for each."""

    def __init__(self, errors: Sequence[StoreError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
