"""Names of devices: how they are compared, and the index from every id, board, alias and part to a device file.

`index.csv` is made from the device files by `python -m mcuprof.hardware`, so that a look-up reads one small file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec


class Name(msgspec.Struct, frozen=True):
    """One row of the index: `shown` as its vendor writes it, `id` the device file it leads to."""

    id: str
    shown: str


def normalize(name: str) -> str:
    """`NUCLEO-L4R5ZI`, `nucleo l4r5zi` and `nucleo_l4r5zi` are one name: letters and digits, lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_index(path: Path) -> Mapping[str, Name]:
    """Normalized name → device, from an `index.csv`."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["key"]: Name(row["id"], row["shown"]) for row in csv.DictReader(file)}


def nearest(name: str, shown: Iterable[str], count: int = 3) -> list[str]:
    """The names of `shown` most like `name`, best first; those that start with it come before all others."""
    from difflib import get_close_matches

    key = normalize(name)
    by_key = {normalize(each): each for each in shown}
    started = sorted(each for each in by_key if key and each.startswith(key))[:count]
    alike = get_close_matches(key, by_key, n=count, cutoff=0.6)
    return [by_key[each] for each in dict.fromkeys([*started, *alike])][:count]
