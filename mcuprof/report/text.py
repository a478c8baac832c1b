"""Text for people: a short block per result, or with detail everything there is."""

from __future__ import annotations

from mcuprof.document import Report
from mcuprof.report.page import Page, Piece, line
from mcuprof.report.pieces import judged


def render(report: Report, page: Page, detail: bool) -> str:
    """One block per result, an empty line between, and a tally when there are several."""
    if detail:
        from mcuprof.report.analyze_text import block
    else:
        from mcuprof.report.check_text import block
    blocks = [page.paint(block(page, result)) for result in report.results]
    if len(report.results) > 1:
        fitting = sum(result.verdict.fits and judged(result) for result in report.results)
        tally = f"{fitting} of {len(report.results)} fit"
        blocks.append(page.paint([line(Piece(tally, "strong"))]))
    return "\n".join(blocks)
