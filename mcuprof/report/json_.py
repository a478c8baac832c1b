"""JSON: the report document itself."""

from __future__ import annotations

import re

from mcuprof.document import Report, encode
from mcuprof.report.page import Page

# Characters that JSON leaves as they are although a terminal obeys them: C1 controls and bidirectional overrides.
_HAZARDOUS = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")


def render(report: Report, page: Page, detail: bool) -> str:
    """`document.encode` with hazardous characters (all non-ASCII ones on an ASCII page) as JSON escapes.

    The document is the same; only its spelling is safe to print. `detail` changes nothing: what is there is encoded.
    """
    return (_HAZARDOUS if page.unicode else _NOT_ASCII).sub(_escape, encode(report).decode())


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))
