"""`mcuprof explain`: what a finding means."""

from __future__ import annotations

from mcuprof.budgets import CODES, Explanation
from mcuprof.budgets.examples import EXAMPLES
from mcuprof.cli import output
from mcuprof.cli.options import Parser
from mcuprof.errors import EXIT_FITS, UsageError
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import prose


def run(arguments: list[str]) -> int:
    """Explain one code, or list all of them."""
    parser = Parser("explain", "What a finding's code means and what to do about it; without a code, all of them.")
    parser.add_argument("code", nargs="?", metavar="CODE", help="such as M101")
    code = parser.parse_args(arguments).code
    page = output.own_page()
    output.write(page.paint(_all(page) if code is None else _one(page, _find(code))))
    return EXIT_FITS


def _find(code: str) -> Explanation:
    entry = CODES.get(code.upper())
    if entry is None:
        raise UsageError(f"no finding has the code {code!r} (`mcuprof explain` lists all)")
    return entry


def _one(page: Page, entry: Explanation) -> list[Line]:
    return [
        line(Piece(entry.code, "strong"), f"  {entry.title}"),
        *prose(page, "cause", entry.cause, limit=None),
        *prose(page, "example", EXAMPLES[entry.code], limit=None),
        *prose(page, "fix", entry.fix, limit=None),
    ]


def _all(page: Page) -> list[Line]:
    return [row for entry in CODES.values() for row in prose(page, entry.code, entry.title)]
