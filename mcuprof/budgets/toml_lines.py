"""Where in a TOML text each key stands, which `tomllib` does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias, TypeVar

Path: TypeAlias = tuple[str | int, ...]
_T = TypeVar("_T")

# What can hide a bracket, an equals sign or a line's end: strings and comments; and the brackets themselves.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]|\n', re.DOTALL
)
_PART = re.compile(r'\s*("(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+)\s*')


def key_lines(text: str) -> dict[Path, int]:
    """Every table and key of a valid TOML text, as the path to it (`("models", 0, "path")`), and its line from 1.

    Keys inside an inline table or an array are not listed: `nearest` answers with the line of what encloses them.
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for line, statement in _statements(text):
        if statement.startswith("["):
            is_array = statement.startswith("[[")
            table = _resolved(_key(statement.lstrip("["))[0], counts)
            if is_array:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            else:
                table = _within(table, counts)
            lines.setdefault(table, line)
        else:
            key, rest = _key(statement)
            if key and rest.startswith("="):
                lines.setdefault((*table, *key), line)
    return lines


def nearest(places: Mapping[Path, _T], path: Path) -> _T | None:
    """Where the key at `path` stands, or the nearest key around it; None where neither is there."""
    for end in range(len(path), 0, -1):
        if path[:end] in places:
            return places[path[:end]]
        # A table may be there only through its keys: `[a.b]` makes `a`.
        inside = next((place for key, place in places.items() if key[:end] == path[:end]), None)
        if inside is not None:
            return inside
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The text cut at those line ends that are outside strings and brackets, each with the line it starts on."""
    line, start, depth, begun = 1, 0, 0, 1
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "[{":
            depth += 1
        elif word in "]}":
            depth -= 1
        line += word.count("\n")
        if word == "\n" and depth <= 0:
            yield from _stripped(begun, text[start : token.start()])
            start, begun, depth = token.end(), line, 0
    yield from _stripped(begun, text[start:])


def _stripped(line: int, statement: str) -> Iterator[tuple[int, str]]:
    statement = statement.strip()
    if statement and not statement.startswith("#"):
        yield line, statement


def _key(text: str) -> tuple[Path, str]:
    """The dotted key that `text` starts with, and what follows it."""
    parts: list[str] = []
    while match := _PART.match(text):
        parts.append(_plain(match[1]))
        text = text[match.end() :]
        if not text.startswith("."):
            break
        text = text[1:]
    return tuple(parts), text


def _plain(part: str) -> str:
    if part.startswith("'"):
        return part[1:-1]
    if part.startswith('"'):
        return re.sub(r"\\(.)", r"\1", part[1:-1])
    return part


def _resolved(key: Path, counts: dict[Path, int]) -> Path:
    """`key` of a header, with the index of the latest element after every array of tables but the last part."""
    path: Path = ()
    for part in key[:-1]:
        path = _within((*path, part), counts)
    return (*path, *key[-1:])


def _within(path: Path, counts: dict[Path, int]) -> Path:
    return (*path, counts[path]) if path in counts else path
