"""Counts, firmwares and models measured by others: the outside truth of these tests."""

from __future__ import annotations

from functools import cache

import pytest

from mcuprof.graph import Graph
from mcuprof.readers import read
from tests.corpus import DATA, models, table

Rows = list[dict[str, str]]


@cache
def counted(name: str) -> Rows:
    """The rows of a data file; skips the test where the shared folder is absent."""
    if not (DATA / name).is_file():
        pytest.skip(f"needs shared/data/{name} beside the checkout")
    return table(name)


@cache
def model(sha256: str) -> Graph:
    """The corpus model with this SHA-256; skips the test where the corpus is absent."""
    if not models():
        pytest.skip("needs shared/models beside the checkout")
    return read(next(entry.path for entry in models() if entry.row["sha256"] == sha256))
