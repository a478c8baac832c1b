"""Where the cost room finds its data: `device_db/` inside the installed package, or beside it in a checkout."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def database() -> Path:
    """The directory `device_db`."""
    inside = _PACKAGE / "device_db"
    return inside if inside.is_dir() else _PACKAGE.parent / "device_db"


@cache
def toml(name: str) -> Mapping[str, Any] | None:
    """The content of `device_db/<name>`; None when there is no such file."""
    path = database() / name
    if not path.is_file():
        return None
    return MappingProxyType(tomllib.loads(path.read_text(encoding="utf-8")))
