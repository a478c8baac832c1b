"""Counts, firmwares and models measured by others: the outside truth of these tests."""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path

import pytest

from mcuprof.graph import Graph
from mcuprof.readers import read

Rows = list[dict[str, str]]
SHARED = Path(os.environ.get("MCUPROF_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")


@cache
def _rows(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def counted(name: str) -> Rows:
    """A table of the shared folder beside the checkout (`MCUPROF_SHARED` names another); skips without it."""
    path = SHARED / "data" / name
    if not path.is_file():
        pytest.skip(f"needs shared/data/{name} beside the checkout")
    return _rows(path)


@cache
def model(sha256: str) -> Graph:
    """The corpus model with this SHA-256; skips without the corpus."""
    index = SHARED / "models" / "index.csv"
    if not index.is_file():
        pytest.skip("needs shared/models beside the checkout")
    return read(SHARED / "models" / next(row["file"] for row in _rows(index) if row["sha256"] == sha256))
