"""The paper a text report is printed on: its width, its colours, its characters.

Lines are lists of styled pieces, so that layout is computed on what is seen and colour is put on last. Everything that
comes from a model goes through `Page.clean`: model files come from strangers, and a tensor's name must not reach the
terminal as an escape sequence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MIN_WIDTH = 40
_SGR = {"good": "1;32", "bad": "1;31", "strong": "1", "dim": "2"}
_TO_ASCII = str.maketrans(
    {
        "·": "-",
        "…": "~",
        "×": "x",
        "µ": "u",
        "–": "-",
        "━": "=",
        "─": "-",
        "█": "#",
        "▓": "!",
        "▒": ":",
        "░": ".",
        "▲": "^",
    }
    | dict.fromkeys("▁▂▃▄", " ")
    | dict.fromkeys("▅▆▇", "#")
)
# Between a number and its unit or its second form, `73,728 B (72.0 KiB)`, a line is never broken.
_BREAK = re.compile(r" (?!\(\d)(?!(?<=\d )(?:[kMG]|B|KiB|MiB|ms|µJ|MHz|%)(?:\W|$))")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text in one style: "" (plain), "good", "bad", "strong" or "dim"."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]


def line(*parts: Piece | str) -> Line:
    """A line of pieces; plain strings become plain pieces."""
    return tuple(part if isinstance(part, Piece) else Piece(part) for part in parts)


def columns(text: str) -> int:
    """Terminal columns that `text` takes at most: 2 for wide East Asian characters, 1 for all others.

    Combining marks count, so that a name made of thousands of them is cut like any other.
    """
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


@dataclass(frozen=True, slots=True)
class Page:
    """`width` in columns, at least 40; `color` allows ANSI styles; without `unicode` everything printed is ASCII."""

    width: int = 80
    color: bool = False
    unicode: bool = True

    def clean(self, text: str) -> str:
        """`text` with control, bidirectional, unassigned and (on an ASCII page) non-ASCII characters escaped."""
        if text.isascii() and text.isprintable():
            return text
        composed = unicodedata.normalize("NFC", text)
        return "".join(_escape(character) if self._hidden(character) else character for character in composed)

    def _hidden(self, character: str) -> bool:
        return not character.isprintable() or (not self.unicode and not character.isascii())

    def own(self, text: str) -> str:
        """Our own wording, with its typographic characters replaced on an ASCII page."""
        return text if self.unicode else text.translate(_TO_ASCII)

    def fit(self, text: str, width: int) -> str:
        """`text` cut to `width` columns, the middle replaced by an ellipsis: names differ at their ends."""
        if columns(text) <= width:
            return text
        room = max(width - 1, 0)
        tail = _take(reversed(text), room - room // 2)[::-1]
        head = _take(iter(text), room - columns(tail))
        return head + self.own("…") + tail if width > 0 else ""

    def pad(self, text: str, width: int, right: bool = False) -> str:
        """`text` cut or filled with spaces to `width` columns; `right` aligns it right."""
        text = self.fit(text, width)
        fill = " " * (width - columns(text))
        return fill + text if right else text + fill

    def wrap(self, text: str, first: int, rest: int) -> list[str]:
        """`text` broken at spaces into lines of at most `first` (line one) and `rest` columns; long words are split."""
        lines = [""]
        for word in _words(text, max(min(first, rest), 2)):
            room = first if len(lines) == 1 else rest
            joined = f"{lines[-1]} {word}" if lines[-1] else word
            if columns(joined) <= room:
                lines[-1] = joined
            else:
                lines.append(word)
        return lines if lines[0] or len(lines) == 1 else lines[1:]

    def paint(self, lines: Iterable[Line]) -> str:
        """The lines as text, styled where the page has colour, each ending in a newline."""
        printed = ([Piece(self.own(piece.text), piece.style) for piece in pieces] for pieces in lines)
        return "".join("".join(self._styled(piece) for piece in _trimmed(pieces)) + "\n" for pieces in printed)

    def _styled(self, piece: Piece) -> str:
        if not self.color or not piece.style or not piece.text:
            return piece.text
        return f"\x1b[{_SGR[piece.style]}m{piece.text}\x1b[0m"


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _take(characters: Iterator[str], width: int) -> str:
    taken: list[str] = []
    for character in characters:
        width -= _columns_of(character)
        if width < 0:
            break
        taken.append(character)
    return "".join(taken)


def _words(text: str, width: int) -> Iterator[str]:
    for word in _BREAK.split(text):
        while columns(word) > width:
            part = _take(iter(word), width)
            yield part
            word = word[len(part) :]
        if word:
            yield word


def _trimmed(kept: list[Piece]) -> list[Piece]:
    """Without trailing spaces, which would make a narrow terminal wrap."""
    while kept and not (stripped := kept[-1].text.rstrip(" ")):
        kept.pop()
    if kept:
        kept[-1] = Piece(stripped, kept[-1].style)
    return kept
