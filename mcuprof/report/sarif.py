"""SARIF 2.1.0 for code scanning. A binary model has no lines, so a finding points at the config's line that asks for
what does not hold, and names the model beside it.
"""

from __future__ import annotations

import json
from typing import Any

from mcuprof.budgets.codes import CODES
from mcuprof.document import Finding, Report, Result
from mcuprof.report.labels import findings, fingerprints, location, relative_uri, sentence, subject, target_name
from mcuprof.report.page import Page

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(report: Report, page: Page, detail: bool) -> str:
    """One run with all findings and the rules they break. Pure ASCII."""
    pairs = list(findings(report, notes=True))
    codes = sorted({finding.code for _, finding in pairs})
    driver = {
        "name": report.tool.name,
        "version": report.tool.version,
        "rules": [_rule(code) for code in codes],
        "properties": {"device_db": report.tool.device_db},
    }
    names = fingerprints(pairs)
    results = [
        _result(page, result, finding, codes.index(finding.code), name)
        for (result, finding), name in zip(pairs, names, strict=True)
    ]
    run = {"tool": {"driver": driver}, "columnKind": "utf16CodeUnits", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, sort_keys=True) + "\n"


def _rule(code: str) -> dict[str, Any]:
    entry = CODES.get(code)
    if entry is None:  # a stored report of a later mcuprof
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.cause},
        "help": {"text": entry.fix},
    }


def _result(page: Page, result: Result, finding: Finding, rule: int, fingerprint: str) -> dict[str, Any]:
    path, line = location(result, finding)
    place = {"physicalLocation": {"artifactLocation": {"uri": relative_uri(path)}, "region": {"startLine": line}}}
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": page.clean(f"{subject(result)}: {sentence(finding)}")},
        "locations": [place],
        "relatedLocations": [
            {
                "id": 1,
                "message": {"text": "the model"},
                "physicalLocation": {"artifactLocation": {"uri": relative_uri(result.model.path)}},
            }
        ],
        "partialFingerprints": {"mcuprof/v1": fingerprint},
        "properties": {"model_sha256": result.model.sha256, "target": target_name(result)},
    }
