"""GitLab's code quality report: a JSON list of issues, which merge requests show beside the changed lines."""

from __future__ import annotations

import json

from mcuprof.document import Report
from mcuprof.report.labels import findings, fingerprints, location, sentence, subject
from mcuprof.report.page import Page

_SEVERITIES = {"error": "critical", "warning": "minor", "note": "info"}


def render(report: Report, page: Page, detail: bool) -> str:
    """One issue per error and warning, with `detail` also per note. Pure ASCII."""
    pairs = list(findings(report, notes=detail))
    issues = []
    for (result, finding), fingerprint in zip(pairs, fingerprints(pairs), strict=True):
        path, line = location(result, finding)
        issues.append(
            {
                "check_name": finding.code,
                "description": page.clean(f"{finding.code} {subject(result)}: {sentence(finding)}"),
                "fingerprint": fingerprint,
                "location": {"lines": {"begin": line}, "path": path.replace("\\", "/").removeprefix("./")},
                "severity": _SEVERITIES[finding.severity],
            }
        )
    return json.dumps(issues, indent=2, sort_keys=True) + "\n"
