"""The data of the cost room: files of `device_db/`, read once."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from mcuprof.hardware import database_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@cache
def toml(name: str) -> Mapping[str, Any] | None:
    """The content of `device_db/<name>`; None when there is no such file."""
    path = database_path() / name
    if not path.is_file():
        return None
    return MappingProxyType(tomllib.loads(path.read_text(encoding="utf-8")))


def rows(name: str) -> list[dict[str, str]]:
    """The rows of the table `device_db/<name>`."""
    with (database_path() / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
