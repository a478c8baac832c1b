"""Rules of a format that a file breaks and that runtimes do not check, and text that is meant for other programs.

No converter writes such a file. It is judged all the same, with a finding for each kind of oddity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcuprof.graph import Graph
from mcuprof.ops.versions import LITERT, NEWEST

_SUFFIXES = (".tflite", ".onnx")
# What a page takes for markup, and a spreadsheet for a formula or a call of another program.
_MARKUP = re.compile(
    r"</?(?:script|style|iframe|img|svg|object|embed|link|meta|form|table|div|span|body|html|a|b|i)(?=[\s/>])", re.I
)
_FORMULA = re.compile(r"^[=@]\w+[|(!]|^[+-]\w+[|!]|\b(?:cmd|dde|powershell|mshta)\s*\|", re.I)


def oddities(graph: Graph, form: str, suffix: str) -> Iterator[str]:
    """One sentence for each oddity of the graph, read as `form` from a file whose name ends in `suffix`."""
    if suffix.lower() in _SUFFIXES and suffix.lower() != f".{form}":
        yield f"the file is named {suffix} but holds a {form} model"
    if form == "tflite":
        yield from _versions(graph)
    names = [name for g in (graph, *graph.subgraphs) for name in (g.name, *(tensor.name for tensor in g.tensors))]
    texts = [("the description", graph.origin.description), ("the producer", graph.origin.producer)]
    yield from _texts([*texts, *(("a name", name) for name in names)])


def _versions(graph: Graph) -> Iterator[str]:
    found: dict[tuple[str, int], int] = {}
    for g in (graph, *graph.subgraphs):
        for number, op in enumerate(g.ops):
            if not 0 < op.version <= NEWEST.get(op.kind, op.version):
                found.setdefault((op.kind, op.version), number)
    for (kind, version), number in found.items():
        newest = NEWEST.get(kind, 1)
        yield f"operator {number} ({kind}) has version {version}; the newest that LiteRT {LITERT} has is {newest}"


def _texts(texts: list[tuple[str, str]]) -> Iterator[str]:
    """The first text of each kind of oddity, and how many more there are."""
    found: dict[str, list[str]] = {}
    for what, text in dict.fromkeys(texts):
        for problem in _problems(text):
            found.setdefault(problem, []).append(f"{what} {text[:60]!r}")
    for problem, places in found.items():
        more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
        yield f"{places[0]} {problem}{more}"


def _problems(text: str) -> Iterator[str]:
    if not text.isascii() or not text.isprintable():
        if "\ufffd" in text:
            yield "is not valid UTF-8"
        if any(not character.isprintable() for character in text):
            yield "holds control characters"
    if "<" in text and _MARKUP.search(text):
        yield "holds markup"
    if _FORMULA.search(text):
        yield "holds a formula that a spreadsheet would run"
