"""Finding and reading config files: which file holds for a model, what it extends, where in it each key stands."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from mcuprof.budgets import toml_lines
from mcuprof.document import Where
from mcuprof.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = ("mcuprof.toml", ".mcuprof.toml")
PYPROJECT = "pyproject.toml"
_SECTION = ("tool", "mcuprof")
_Schema = TypeVar("_Schema")


@dataclass(frozen=True, slots=True)
class Spot:
    """A line of a config file; line 0 stands for the whole file."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{shown(self.path)}:{self.line}" if self.line else shown(self.path)

    def where(self) -> Where:
        """As the report document says it: with forward slashes, relative to where mcuprof runs."""
        return Where(shown(self.path).replace(os.sep, "/"), max(self.line, 1))


@dataclass(frozen=True, slots=True)
class Layers:
    """A config file over those it extends, merged: the settings, and the spot where each of them stands."""

    path: Path
    data: dict[str, Any]
    spots: dict[toml_lines.Path, Spot]

    def spot(self, key: toml_lines.Path) -> Spot:
        """Where `key` stands, or the nearest key around it."""
        return toml_lines.nearest(self.spots, key) or Spot(self.path, 0)

    def fail(self, key: toml_lines.Path, reason: str) -> NoReturn:
        """Raise UsageError that names file, line and key."""
        raise UsageError(f"{self.spot(key)}: {_dotted(key)}: {reason}")


def shown(path: Path) -> str:
    """`path` relative to the working directory, where there is such a way."""
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)


def absolute(path: Path | str) -> Path:
    """`path` from the root, without `..`; links are not followed."""
    return Path(os.path.normpath(Path(path).absolute()))


def discover(start: Path) -> Path | None:
    """The config that holds in the folder `start`: the nearest one upward, `mcuprof.toml` before `pyproject.toml`."""
    here = absolute(start)
    for folder in (here, *here.parents):
        for name in NAMES:
            if (folder / name).is_file():
                return folder / name
        if _has_section(folder / PYPROJECT):
            return folder / PYPROJECT
    return None


def _has_section(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    # Other people's pyproject.toml need not be valid, ours is told when it is not.
    return re.search(r"^\s*\[+\s*tool\s*\.\s*[\"']?mcuprof\b", text, re.MULTILINE) is not None


def read_layers(path: Path) -> Layers:
    """The config at `path` over what it extends. Raises UsageError with file, line and key."""
    return _read(absolute(path), ())


def _read(path: Path, above: tuple[Path, ...]) -> Layers:
    own = _own(path)
    _validate(own)
    extended = own.data.get("extend")
    if extended is None:
        return own
    base = absolute(path.parent / extended)
    if base in (*above, path):
        own.fail(("extend",), f"{extended!r} leads back to this file")
    if not base.is_file():
        own.fail(("extend",), f"no such file: {extended!r}")
    return _merged(own, _read(base, (*above, path)))


def _own(path: Path) -> Layers:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{shown(path)}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError:
        raise UsageError(f"{shown(path)}: cannot be read: it is not UTF-8 text") from None
    try:
        data: Any = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown(path)}: is not TOML: {error}") from None
    lines = toml_lines.key_lines(text)
    if path.name == PYPROJECT:
        for part in _SECTION:
            data = data.get(part, {}) if isinstance(data, dict) else {}
        lines = {key[2:]: line for key, line in lines.items() if key[:2] == _SECTION and len(key) > 2}
    if not isinstance(data, dict):
        raise UsageError(f"{shown(path)}: tool.mcuprof: expected a table")
    return Layers(path, data, {key: Spot(path, line) for key, line in lines.items()})


def _merged(own: Layers, base: Layers) -> Layers:
    """Tables are merged key by key, `own` wins; the models of `base` come after those of `own`."""
    shift = len(own.data.get("models", ()))
    spots = dict(own.spots)
    for key, spot in base.spots.items():
        if key[0] == "models" and len(key) > 1 and isinstance(key[1], int):
            key = ("models", key[1] + shift, *key[2:])
        spots.setdefault(key, spot)
    data = _over(own.data, base.data)
    if models := [*own.data.get("models", ()), *base.data.get("models", ())]:
        data["models"] = models
    return Layers(own.path, data, spots)


def _over(own: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    merged = {**base, **own}
    for key in own.keys() & base.keys():
        if isinstance(own[key], dict) and isinstance(base[key], dict):
            merged[key] = _over(own[key], base[key])
    return merged


def _validate(layers: Layers) -> None:
    """Piece by piece, because msgspec does not name the key of a mapping in what it says of its value."""
    for key, value, schema in _pieces(layers.data):
        _converted(layers, key, value, schema)
    from mcuprof.budgets.config_schema import ConfigFile

    _converted(layers, (), layers.data, ConfigFile)


def _pieces(data: dict[str, Any]) -> Iterator[tuple[toml_lines.Path, Any, type]]:
    from mcuprof.budgets.config_schema import ModelTable, TargetTable

    targets, models = data.get("targets"), data.get("models")
    if isinstance(targets, dict):
        yield from ((("targets", name), table, TargetTable) for name, table in targets.items())
    if isinstance(models, list):
        yield from ((("models", index), table, ModelTable) for index, table in enumerate(models))


def _converted(layers: Layers, key: toml_lines.Path, value: Any, schema: type[_Schema]) -> _Schema:
    try:
        return msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        inner = re.findall(r"\.([A-Za-z_]+)|\[(\d+)\]", place)
        key = (*key, *(int(index) if index else name for name, index in inner))
        if unknown := re.search(r"unknown field `(.+)`", reason):
            layers.fail((*key, unknown[1]), f"unknown key{_hint(unknown[1])}")
        if missing := re.search(r"missing required field `(.+)`", reason):
            layers.fail(key, f"the key {missing[1]!r} is missing")
        reason = reason.replace(" | null", "").replace("`", "")
        if re.fullmatch("Expected str, got (int|float)", reason):
            reason = 'expected text in quotes, such as "96K" or "50ms"'
        layers.fail(key, reason[:1].lower() + reason[1:])


def _hint(name: str) -> str:
    from mcuprof.budgets import config_schema

    tables = (value for value in vars(config_schema).values() if isinstance(value, type))
    known = {
        field
        for table in tables
        if issubclass(table, msgspec.Struct) and table.__struct_fields__
        for field in table.__struct_fields__
    }
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _dotted(key: toml_lines.Path) -> str:
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f"{'.' if text else ''}{part if re.fullmatch(r'[A-Za-z0-9_-]+', part) else repr(part)}"
    return text or "the file"
