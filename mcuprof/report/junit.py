"""JUnit XML in the layout that Jenkins' xUnit plug-in defines: a suite per model and target, a case per question."""

from __future__ import annotations

from xml.etree import ElementTree

from mcuprof.document import Finding, Report, Result
from mcuprof.report.labels import sentence, subject
from mcuprof.report.page import Page
from mcuprof.report.pieces import judged, sorted_findings

# The first letter of a code says which question it answers; those asked of every model come first.
_ALWAYS = {"M": "memory", "F": "flash", "L": "latency"}
_WHEN_FOUND = {
    "O": "operators",
    "Q": "quantization",
    "D": "dead compute",
    "V": "verification",
    "R": "baseline",
    "C": "configuration",
}
# Notes that say a question was not asked.
_UNASKED = {"M106": "memory", "F202": "flash"}


def render(report: Report, page: Page, detail: bool) -> str:
    """A failure per question that has an error; what was not judged is skipped. Times are 0: nothing was executed."""
    root = ElementTree.Element("testsuites", name="mcuprof")
    for result in report.results:
        _suite(root, page, result)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(root: ElementTree.Element, page: Page, result: Result) -> None:
    by_case: dict[str, list[Finding]] = {name: [] for name in _ALWAYS.values()}
    for finding in sorted_findings(result):
        letter = finding.code[:1]
        title = _ALWAYS.get(letter) or _WHEN_FOUND.get(letter, "other")
        by_case.setdefault(title, []).append(finding)
    suite = ElementTree.SubElement(root, "testsuite", name=page.clean(subject(result)))
    counts = {"tests": len(by_case), "failures": 0, "errors": 0, "skipped": 0}
    for title, found in by_case.items():
        case = ElementTree.SubElement(suite, "testcase", name=title, classname=page.clean(subject(result)), time="0")
        errors = [finding for finding in found if finding.severity == "error"]
        reason = _unasked(result, title, found)
        if errors:
            counts["failures"] += 1
            failure = ElementTree.SubElement(
                case, "failure", type=page.clean(errors[0].code), message=page.clean(errors[0].message)
            )
            failure.text = _lines(page, errors)
        elif reason is not None:
            counts["skipped"] += 1
            ElementTree.SubElement(case, "skipped", message=page.clean(reason))
        others = [finding for finding in found if finding.severity != "error"]
        if others:
            ElementTree.SubElement(case, "system-out").text = _lines(page, others)
    for key, count in counts.items():
        suite.set(key, str(count))
    suite.set("time", "0")


def _unasked(result: Result, case: str, found: list[Finding]) -> str | None:
    """Why a case without errors proves nothing, or None where it does."""
    if not judged(result) and case in _ALWAYS.values():
        return "nothing to judge against"
    for finding in found:
        if _UNASKED.get(finding.code) == case:
            return finding.message
    if case == "latency" and (result.latency is None or result.latency.ms is None):
        reason = result.latency_reason
        return f"no data: {reason}" if isinstance(reason, str) else "no data"
    return None


def _lines(page: Page, found: list[Finding]) -> str:
    return "\n".join(page.clean(f"{finding.code} {finding.severity}: {sentence(finding)}") for finding in found)
