"""Markup that is safe by construction: text is escaped unless it is already `Markup`, and only `tag` makes that.

Names come from models and stored reports, that is from strangers. There is no way to put one into a page unescaped
short of calling `Markup` on it, which only assets of this package are.
"""

from __future__ import annotations

from html import escape
from math import inf

from mcuprof.report.page import Page

_VOID = frozenset({"meta", "input", "br", "link", "wbr"})
_PAGE = Page()


class Markup(str):
    """A piece of HTML or SVG. Concatenation with text gives plain text again, so it is escaped, never trusted."""

    __slots__ = ()


def text(value: str) -> Markup:
    """`value` as character data: controls and bidirectional overrides shown as escapes, markup neutralised."""
    return value if isinstance(value, Markup) else Markup(escape(_PAGE.clean(value)))


def tag(name: str, /, *children: str, **attributes: str | int | bool | None) -> Markup:
    """An element. `class_` is class, `aria_label` is aria-label; True is a bare attribute, False and None are none."""
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{opening}>")
    return Markup(f"<{name}{opening}>{''.join(map(text, children))}</{name}>")


def join(*parts: str) -> Markup:
    """The parts one after the other."""
    return Markup("".join(map(text, parts)))


def coordinate(value: float) -> str:
    """A length for SVG attributes, at most three decimals, the same on every machine."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def percentage(part: float, whole: float) -> str:
    """`part` of `whole` as an SVG length in percent, clipped to 0 and 100; of nothing or of infinity it is 0."""
    if not 0 < whole < inf:
        return "0%"
    return coordinate(100 * min(max(part / whole, 0.0), 1.0)) + "%"


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(_PAGE.clean(str(value)))}"'
