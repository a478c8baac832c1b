"""Who is told how far long work has come: one sentence at a time, shown or not by whoever listens."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


def silent(message: str) -> None:
    """The `Say` that tells nobody."""
