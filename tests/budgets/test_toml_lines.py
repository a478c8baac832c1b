from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcuprof.budgets.toml_lines import key_lines, nearest
from mcuprof.hardware import database_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRICKY = '''\
# [not.a.table]
title = "a = 1 # no comment"
text = """
[nor.this]
key = "nor this"
"""
literal = \'\'\'
[[nor.that]]\'\'\'
"quoted key" = 1
a . b = 2
many = [
  "x", # ]
  "[y]",
]
inline = { x = 1, y = [ { z = 2 } ] }

[table]
x = 1
[table.inner]
y = 2
[[list]]
name = "first"
[list.sub]
k = 1
[[list]]
name = "second"
[[list.deep]]
m = 1
[[list.deep]]
m = 2
'''


def test_where_everything_stands() -> None:
    lines = key_lines(TRICKY)
    expected = {
        ("title",): 2,
        ("text",): 3,
        ("literal",): 7,
        ("quoted key",): 9,
        ("a", "b"): 10,
        ("many",): 11,
        ("inline",): 15,
        ("table",): 17,
        ("table", "x"): 18,
        ("table", "inner"): 19,
        ("table", "inner", "y"): 20,
        ("list", 0): 21,
        ("list", 0, "name"): 22,
        ("list", 0, "sub"): 23,
        ("list", 0, "sub", "k"): 24,
        ("list", 1): 25,
        ("list", 1, "name"): 26,
        ("list", 1, "deep", 0): 27,
        ("list", 1, "deep", 0, "m"): 28,
        ("list", 1, "deep", 1): 29,
        ("list", 1, "deep", 1, "m"): 30,
    }
    assert lines == expected


def test_what_has_no_line_gets_that_of_its_surroundings() -> None:
    lines = key_lines(TRICKY)
    assert nearest(lines, ("inline", "y", 0, "z")) == 15
    assert nearest(lines, ("a",)) == 10
    assert nearest(lines, ("table", "missing")) == 17
    assert nearest(lines, ("nothing",)) is None


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key of a parsed document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))


@pytest.mark.parametrize("folder", ["devices", "cores", "accelerators", "kernels"])
def test_agrees_with_the_toml_parser_on_the_whole_database(folder: str) -> None:
    """For every key that tomllib finds, the line told is one that names the key (or what encloses it)."""
    files = sorted((database_path() / folder).glob("*.toml"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        lines, rows = key_lines(text), text.splitlines()
        document = tomllib.loads(text)
        for path in paths(document):
            line = nearest(lines, path)
            assert line is not None, (file.name, path)
            assert any(re.search(rf"\b{re.escape(str(part))}\b", rows[line - 1]) for part in path), (file.name, path)
        for path in lines:  # and nothing is listed that the parser does not know
            value: Any = document
            for part in path:
                value = value[part]


def test_this_projects_own_file() -> None:
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    line = key_lines(text)["tool", "ruff", "line-length"]
    assert text.splitlines()[line - 1].startswith("line-length")
