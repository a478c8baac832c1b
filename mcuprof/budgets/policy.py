"""What a finding leads to: findings that are passed over, and the severity from which a result fails."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from mcuprof.budgets.codes import CODES
from mcuprof.document import Result, Severity, Verdict
from mcuprof.errors import UsageError

# Who says that a model which does not fit shall count as fitting, means another budget or another device.
_NEVER_IGNORED = frozenset({"M101", "F201", "L301", "V602"})
_RANK = {"error": 2, "warning": 1, "note": 0}


def ignorable(code: str) -> str:
    """`code` in capitals. Raises UsageError when there is no such code, or nobody may pass over it."""
    code = code.strip().upper()
    if code not in CODES:
        raise UsageError(f"no finding has the code {code!r} (`mcuprof explain` lists all)")
    if code in _NEVER_IGNORED:
        raise UsageError(f"{code} ({CODES[code].title}) cannot be ignored: change the budget, the device or the model")
    return code


def ignore(result: Result, codes: Collection[str]) -> Result:
    """`result` without the warnings and notes of these codes; their errors become notes that say so."""
    if not codes:
        return result
    findings = tuple(
        msgspec.structs.replace(finding, severity="note", message=f"ignored: {finding.message}")
        if finding.code in codes
        else finding
        for finding in result.verdict.findings
        if finding.code not in codes or finding.severity == "error"
    )
    fits = all(finding.severity != "error" for finding in findings)
    return msgspec.structs.replace(result, verdict=Verdict(fits, findings))


def fails(result: Result, fail_on: Severity = "error", ignored: Collection[str] = ()) -> bool:
    """Whether a finding of `fail_on` or worse is there that is not one of the `ignored` codes."""
    findings = (finding for finding in result.verdict.findings if finding.code not in ignored)
    return any(_RANK[finding.severity] >= _RANK[fail_on] for finding in findings)
