"""GitHub Actions workflow commands: an annotation per finding, and a tally for the log."""

from __future__ import annotations

from mcuprof.document import Report
from mcuprof.report.labels import findings, location, sentence, subject
from mcuprof.report.page import Page
from mcuprof.report.pieces import judged

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render(report: Report, page: Page, detail: bool) -> str:
    """`::error file=mcuprof.toml,line=12,title=…::…` for errors and warnings, with `detail` also for notes."""
    lines = []
    for result, finding in findings(report, notes=detail):
        path, line = location(result, finding)
        title = f"{finding.code} {subject(result)}"
        where = f"file={_property(page, path)},line={line},title={_property(page, title)}"
        lines.append(f"::{_COMMANDS[finding.severity]} {where}::{_data(page, sentence(finding))}")
    fitting = sum(result.verdict.fits and judged(result) for result in report.results)
    lines.append(f"mcuprof: {fitting} of {len(report.results)} fit")
    return "\n".join(lines) + "\n"


def _data(page: Page, text: str) -> str:
    return page.clean(text).replace("%", "%25")  # no line ends are left after `clean`


def _property(page: Page, text: str) -> str:
    return _data(page, text).replace(":", "%3A").replace(",", "%2C")
