"""What the renderers for machines call a result, and where they point."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from mcuprof.document import Finding, Report, Result
from mcuprof.report.pieces import sorted_findings


def target_name(result: Result) -> str:
    """What the config calls the target, else the device; empty without either."""
    name = result.target.name
    return (result.target.device or "") if isinstance(name, msgspec.UnsetType) else name


def subject(result: Result) -> str:
    """`models/kws.tflite on door`."""
    target = target_name(result)
    return f"{result.model.path} on {target}" if target else result.model.path


def findings(report: Report, notes: bool) -> Iterator[tuple[Result, Finding]]:
    """All findings, worst first within each result; notes only where asked for."""
    for result in report.results:
        for finding in sorted_findings(result):
            if notes or finding.severity != "note":
                yield result, finding


def location(result: Result, finding: Finding) -> tuple[str, int]:
    """File and line to show a finding at: the config's line that asks for it, else the model (which has no lines)."""
    if isinstance(finding.where, msgspec.UnsetType):
        return result.model.path, 1
    return finding.where.path, max(finding.where.line, 1)


def relative_uri(path: str) -> str:
    """`path` as the relative reference of a URI; absolute paths as `file:` URIs."""
    path = path.replace("\\", "/").removeprefix("./")
    if path.startswith("/"):
        return "file://" + quote(path)
    if path[1:3] == ":/":
        return "file:///" + quote(path, safe="/:")
    return quote(path)


def fingerprints(pairs: list[tuple[Result, Finding]]) -> list[str]:
    """A name for each finding that stays when figures and lines change: code, model and target, and a count where
    that is not enough.
    """
    seen: dict[str, int] = {}
    names: list[str] = []
    for result, finding in pairs:
        base = f"{finding.code}\n{result.model.path}\n{target_name(result)}\n{result.target.runtime}"
        seen[base] = seen.get(base, -1) + 1
        names.append(hashlib.sha256(f"{base}\n{seen[base]}".encode()).hexdigest()[:32])
    return names


def sentence(finding: Finding) -> str:
    """Message and fix in one line."""
    return f"{finding.message}. Fix: {finding.fix}" if finding.fix else finding.message
