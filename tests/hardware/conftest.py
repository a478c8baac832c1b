"""The survey tables the database was made from: the outside truth of these tests."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

Rows = list[dict[str, str]]


@pytest.fixture(scope="session")
def survey() -> Callable[[str], Rows]:
    """Read a table of the shared folder beside the checkout (`MCUPROF_SHARED` names another); skip without it."""
    shared = Path(os.environ.get("MCUPROF_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))

    def read(name: str) -> Rows:
        path = shared / "data" / name
        if not path.is_file():
            pytest.skip(f"needs shared/data/{name} beside the checkout")
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return read
