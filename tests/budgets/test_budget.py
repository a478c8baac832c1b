from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import msgspec
import pytest

from mcuprof.budgets import Limits
from mcuprof.budgets.amounts import Amount, BudgetSpec, LatencyBound
from mcuprof.budgets.budget import Budget, judge_budget, resolve
from mcuprof.budgets.policy import fails, ignorable, ignore
from mcuprof.document import Finding, Result, Severity, Verdict, Where
from mcuprof.errors import UsageError
from tests.documents import NO_DEVICE, RESULT

RAM = RESULT.memory.min_arena_bytes + (RESULT.memory.stack_bytes or 0)
FLASH = RESULT.flash.total_bytes
LINE = Where("mcuprof.toml", 12)
TARGET = Where("mcuprof.toml", 5)
WHERE = {"ram": LINE, "flash": LINE, "latency": LINE}


def codes(result: Result, severity: Severity = "error") -> list[str]:
    return [finding.code for finding in result.verdict.findings if finding.severity == severity]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), []),
        (Budget(ram_bytes=RAM), []),
        (Budget(ram_bytes=RAM - 1), ["M101"]),
        (Budget(flash_bytes=FLASH), []),
        (Budget(flash_bytes=FLASH - 1), ["F201"]),
        (Budget(latency_ms=359.4), []),  # the upper end of the band
        (Budget(latency_ms=359.3), ["L301"]),
        (Budget(latency_ms=312.5, latency_bound="nominal"), []),
        (Budget(latency_ms=312.4, latency_bound="nominal"), ["L301"]),
        (Budget(latency_ms=float("nan")), ["L301"]),
        (Budget(RAM - 1, FLASH - 1, 1.0), ["M101", "F201", "L301"]),
    ],
)
def test_a_budget_holds_or_its_line_is_named(budget: Budget, expected: list[str]) -> None:
    result = judge_budget(RESULT, Limits(), replace(budget, where=WHERE), TARGET)
    assert codes(result) == expected and result.verdict.fits == (not expected)
    errors = [finding for finding in result.verdict.findings if finding.severity == "error"]
    assert all(finding.where == LINE and "mcuprof.toml:12" in finding.message for finding in errors)


def test_the_budget_does_not_replace_the_device() -> None:
    small = msgspec.structs.replace(RESULT.memory.regions[0], capacity_bytes=1000)
    memory = msgspec.structs.replace(RESULT.memory, regions=(small,))
    result = judge_budget(msgspec.structs.replace(RESULT, memory=memory), Limits(), Budget(ram_bytes=10**9), TARGET)
    assert codes(result) == ["M101"]
    assert result.verdict.findings[0].where == TARGET


def test_without_a_device_the_budget_is_the_capacity() -> None:
    result = judge_budget(NO_DEVICE, Limits(), Budget(ram_bytes=50_000, flash_bytes=10**7, where=WHERE), TARGET)
    assert codes(result) == ["M101"]
    assert result.memory.regions[0].capacity_bytes == 50_000
    assert next(finding for finding in result.verdict.findings if finding.code == "M101").where == LINE
    assert judge_budget(NO_DEVICE, Limits(), Budget(latency_ms=1.0)).verdict.findings[-1].code == "L302"
    assert "C901" not in codes(judge_budget(NO_DEVICE, Limits(), Budget(latency_ms=1.0)), "note")


def test_a_flash_bill_with_gaps_must_leave_room_for_a_runtime_in_the_budget() -> None:
    gap = Finding("F203", "warning", "no code size for CUSTOM:x: the flash total is a lower bound")
    result = msgspec.structs.replace(RESULT, verdict=Verdict(True, (gap,)))
    # The stored model has 333,288 B; the largest linked runtime took 86,808 B.
    assert codes(judge_budget(result, Limits(), Budget(flash_bytes=460_000))) == []
    memory = msgspec.structs.replace(result, flash=msgspec.structs.replace(RESULT.flash, total_bytes=333_288))
    assert codes(judge_budget(memory, Limits(), Budget(flash_bytes=420_095))) == ["F203"]
    assert codes(judge_budget(memory, Limits(), Budget(flash_bytes=420_096))) == []


@pytest.mark.parametrize("bound", [None, "upper", "nominal"])
def test_parts_of_a_device(bound: LatencyBound | None) -> None:
    spec = BudgetSpec(Amount(share=Fraction(7, 10)), Amount(1000), 5.0, bound, WHERE)
    assert resolve(spec, 131_072, None) == Budget(91_750, 1000, 5.0, bound or "upper", WHERE)
    with pytest.raises(UsageError, match=r"^mcuprof\.toml:12: budget\.ram: 70 % of the device's RAM"):
        resolve(spec, None, None)


def found(*findings: Finding) -> Result:
    fits = all(finding.severity != "error" for finding in findings)
    return msgspec.structs.replace(RESULT, verdict=Verdict(fits, findings))


def test_ignored_errors_stay_visible_as_notes() -> None:
    result = found(
        Finding("O401", "error", "no kernel"), Finding("M105", "note", "stack"), Finding("L302", "note", "x")
    )
    done = ignore(result, {"O401", "M105"})
    assert done.verdict == Verdict(True, (Finding("O401", "note", "ignored: no kernel"), Finding("L302", "note", "x")))
    assert ignore(result, ()) is result


@pytest.mark.parametrize("code", ["M101", "F201", "l301", "V602", "X999", ""])
def test_what_nobody_may_ignore(code: str) -> None:
    with pytest.raises(UsageError):
        ignorable(code)


@pytest.mark.parametrize(
    ("severity", "fail_on", "failing"),
    [
        ("error", "error", True),
        ("warning", "error", False),
        ("warning", "warning", True),
        ("note", "warning", False),
        ("note", "note", True),
    ],
)
def test_fail_on(severity: Severity, fail_on: Severity, failing: bool) -> None:
    assert fails(found(Finding("O403", severity, "x")), fail_on) == failing
    assert not fails(found(Finding("O403", severity, "x")), fail_on, {"O403"})
