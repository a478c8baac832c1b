"""Where the shared corpus and data are: beside the checkout, or where MCUPROF_SHARED says."""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

SHARED = Path(os.environ.get("MCUPROF_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
MODELS = SHARED / "models"
DATA = SHARED / "data"

needs_shared = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared model corpus is not beside this checkout")


class Model(NamedTuple):
    """One row of the corpus index."""

    name: str
    path: Path
    row: dict[str, str]


@cache
def models() -> tuple[Model, ...]:
    """All models of the corpus; none where it is absent."""
    if not MODELS.is_dir():
        return ()
    with (MODELS / "index.csv").open(newline="", encoding="utf-8") as handle:
        return tuple(Model(row["name"], MODELS / row["file"], row) for row in csv.DictReader(handle))


def model(name: str) -> Model:
    """The model of that name."""
    return next(entry for entry in models() if entry.name == name)


def table(name: str) -> list[dict[str, str]]:
    """The rows of a data file; none where it is absent."""
    path = DATA / name
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))
