"""The verdict, as tables. RESULT needs 105,216 B of RAM (arena 103,696 + stack 1,520) and 447,867 B of flash."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcuprof.budgets import CODES, Limits, judge
from mcuprof.document import Finding, Flash, FlashItem, Latency, RegionUse, Result, Strategy, Verdict
from tests.documents import FLASH, LATENCY, MEMORY, NO_DEVICE, RESULT, detailed

NEED = 105_216
replace = msgspec.structs.replace


def codes(result: Result, severity: str) -> list[str]:
    return [finding.code for finding in result.verdict.findings if finding.severity == severity]


def with_regions(*regions: RegionUse) -> Result:
    return replace(RESULT, memory=replace(MEMORY, regions=regions))


def with_latency(latency: Latency | None) -> Result:
    return replace(RESULT, latency=latency)


@pytest.mark.parametrize(
    ("result", "limits", "errors"),
    [
        (RESULT, Limits(), []),
        # the ad-hoc RAM replaces the device's 131,072 B, to the byte
        (RESULT, Limits(ram_bytes=NEED), []),
        (RESULT, Limits(ram_bytes=NEED - 1), ["M101"]),
        (RESULT, Limits(ram_bytes=0), ["M101"]),
        # what the runtime uses (arena 103,680) would fit here; what it needs to start does not
        (RESULT, Limits(ram_bytes=103_680 + 1_520), ["M101"]),
        # a reserve is subtracted, on the device and from an ad-hoc budget
        (RESULT, Limits(reserve_ram_bytes=131_072 - NEED), []),
        (RESULT, Limits(reserve_ram_bytes=131_072 - NEED + 1), ["M101"]),
        (RESULT, Limits(ram_bytes=NEED + 10, reserve_ram_bytes=10), []),
        (RESULT, Limits(ram_bytes=NEED + 10, reserve_ram_bytes=11), ["M101"]),
        # every region must hold, and what analysis reserved counts
        (with_regions(RegionUse("DTCM", 103_696, 0, 131_072), RegionUse("SRAM", 1_520, 0, 1_519)), Limits(), ["M101"]),
        (with_regions(RegionUse("SRAM", NEED, 25_856, 131_072)), Limits(), []),
        (with_regions(RegionUse("SRAM", NEED, 25_857, 131_072)), Limits(), ["M101"]),
        (with_regions(RegionUse("A", 10**6, 0, 1), RegionUse("B", 10**6, 0, 1)), Limits(), ["M101", "M101"]),
        # an arena that analysis could place nowhere
        (with_regions(RegionUse("SRAM", 0, 0, 131_072)), Limits(), ["M101"]),
        # flash
        (RESULT, Limits(flash_bytes=447_867), []),
        (RESULT, Limits(flash_bytes=447_866), ["F201"]),
        (replace(RESULT, flash=replace(FLASH, capacity_bytes=447_866)), Limits(), ["F201"]),
        # latency: the upper end of the band (359.4) decides, not the middle (312.5)
        (RESULT, Limits(latency_ms=359.4), []),
        (RESULT, Limits(latency_ms=359.3), ["L301"]),
        (RESULT, Limits(latency_ms=320.0), ["L301"]),
        (with_latency(replace(LATENCY, high_ms=float("nan"))), Limits(latency_ms=1e9), ["L301"]),
        # no data is not a pass
        (with_latency(None), Limits(latency_ms=1e9), ["L302"]),
        (with_latency(None), Limits(), []),
        (with_latency(replace(LATENCY, ms=None, low_ms=None, high_ms=None)), Limits(latency_ms=1e9), ["L302"]),
        (with_latency(replace(LATENCY, low_ms=None, high_ms=None)), Limits(latency_ms=1e9), ["L302"]),
        # everything at once
        (RESULT, Limits(1, 1, 1.0), ["M101", "F201", "L301"]),
    ],
)
def test_verdict(result: Result, limits: Limits, errors: list[str]) -> None:
    judged = judge(result, limits)
    assert codes(judged, "error") == errors
    assert judged.verdict.fits == (not errors)


def test_ad_hoc_ram_is_a_region_of_its_own() -> None:
    judged = judge(RESULT, Limits(ram_bytes=96 * 1024, reserve_ram_bytes=1024))
    assert judged.memory.regions == (RegionUse("RAM", NEED, 1024, 98_304),)


def test_the_reserve_lies_beside_the_arena() -> None:
    result = with_regions(RegionUse("DTCM", 1_520, 0, 65_536), RegionUse("AXI", 103_696, 100, 524_288))
    regions = judge(result, Limits(reserve_ram_bytes=1_000)).memory.regions
    assert [region.reserved_bytes for region in regions] == [0, 1_100]


def test_an_error_of_the_analysis_fails_whatever_the_budgets() -> None:
    finding = Finding("O401", "error", "CUSTOM:foo is not in tflm")
    judged = judge(replace(RESULT, verdict=Verdict(True, (finding,))), Limits())
    assert not judged.verdict.fits
    assert judged.verdict.findings[0] == finding


def test_warnings_and_notes_do_not_fail() -> None:
    findings = (Finding("O404", "warning", "w"), Finding("O403", "note", "n"))
    judged = judge(replace(RESULT, verdict=Verdict(True, findings)), Limits())
    assert judged.verdict.fits and judged.verdict.findings == findings


@pytest.mark.parametrize("code", ["M106", "M108"])
def test_a_ram_budget_replaces_what_analysis_said_of_the_devices_ram(code: str) -> None:
    result = replace(RESULT, verdict=Verdict(True, (Finding(code, "error", "layout"),)))
    assert not judge(result, Limits()).verdict.fits
    assert judge(result, Limits(ram_bytes=NEED)).verdict.fits
    assert not judge(result, Limits(flash_bytes=10**6)).verdict.fits


@pytest.mark.parametrize(
    ("flash_bytes", "fits"),
    [
        # the stored model is 333,288 B; the largest linked runtime of device_db/flash took 86,808 B beside it
        (333_288 + 86_807, False),
        (333_288 + 86_808, True),
    ],
)
def test_an_incomplete_flash_bill_must_leave_room_for_a_runtime(flash_bytes: int, fits: bool) -> None:
    flash = Flash(333_288, None, (FlashItem("model", 333_288, "exact"),))
    found = (Finding("F203", "note", "no device was named: the flash total is a lower bound"),)
    judged = judge(replace(NO_DEVICE, flash=flash, verdict=Verdict(True, found)), Limits(flash_bytes=flash_bytes))
    assert judged.verdict.fits == fits


@pytest.mark.parametrize(
    ("limits", "notes"),
    [
        (Limits(), ["C901"]),
        (Limits(reserve_ram_bytes=10**9), ["C901"]),
        (Limits(ram_bytes=10**6), ["F202"]),
        (Limits(flash_bytes=10**6), ["M106"]),
        (Limits(ram_bytes=10**6, flash_bytes=10**6), []),
    ],
)
def test_what_was_not_judged_is_said(limits: Limits, notes: list[str]) -> None:
    judged = judge(NO_DEVICE, limits)
    assert judged.verdict.fits
    assert codes(judged, "note") == notes


def test_unknown_stack_is_said() -> None:
    judged = judge(replace(RESULT, memory=replace(MEMORY, stack_bytes=None)), Limits(ram_bytes=103_696))
    assert judged.verdict.fits and codes(judged, "note") == ["M105"]


@pytest.mark.parametrize(
    ("limits", "warnings"),
    [
        (Limits(ram_bytes=131_072, flash_bytes=524_288), []),
        (Limits(ram_bytes=131_073), ["C902"]),
        (Limits(flash_bytes=524_289), ["C902"]),
    ],
)
def test_a_budget_above_the_device_is_a_warning(limits: Limits, warnings: list[str]) -> None:
    assert codes(judge(RESULT, limits), "warning") == warnings


def test_what_the_devices_firmware_keeps_is_not_offered() -> None:
    result = with_regions(RegionUse("SRAM", NEED, 1_000, 131_072))
    assert codes(judge(result, Limits(ram_bytes=130_072)), "warning") == []
    assert codes(judge(result, Limits(ram_bytes=130_073)), "warning") == ["C902"]


def test_the_fix_is_the_least_invasive_plan_that_saves_enough_on_this_runtime() -> None:
    # head 73,728; strategies: 55,296 B on tflm, 36,896 B only on another runtime
    (finding,) = judge(detailed(RESULT), Limits(ram_bytes=NEED - 18_432)).verdict.findings
    assert finding.fix == "mcuprof plan --order as-is --in-place none: 18,432 B (18.0 KiB) less"
    assert finding.saves_bytes == 18_432


def test_a_plan_that_saves_too_little_is_no_fix() -> None:
    (finding,) = judge(detailed(RESULT), Limits(ram_bytes=NEED - 18_433)).verdict.findings
    assert finding.fix is not None and "plan" not in finding.fix and finding.saves_bytes is None
    strategy = Strategy("optimal", "none", 55_295, 55_295, "optimal: search", ("tflm",))
    result = replace(RESULT, memory=replace(MEMORY, strategies=(*_strategies(), strategy)))
    (finding,) = judge(result, Limits(ram_bytes=NEED - 18_433)).verdict.findings
    assert finding.fix == "mcuprof plan --order optimal --in-place none: 18,433 B (18.0 KiB) less"


def _strategies() -> tuple[Strategy, ...]:
    strategies = detailed(RESULT).memory.strategies
    assert not isinstance(strategies, msgspec.UnsetType)
    return strategies


def test_without_strategies_the_bound_says_what_a_plan_could_save() -> None:
    (finding,) = judge(RESULT, Limits(ram_bytes=NEED - 18_432)).verdict.findings
    assert finding.fix == "mcuprof plan: up to 18,432 B (18.0 KiB) less"
    assert finding.saves_bytes is None


def test_a_reserve_that_leaves_nothing_is_itself_the_culprit() -> None:
    (finding,) = judge(RESULT, Limits(reserve_ram_bytes=300_000)).verdict.findings
    assert finding.fix == "reserve 274,144 B (267.7 KiB) less for the firmware"


@given(
    ram=st.none() | st.integers(0, 200_000),
    flash=st.none() | st.integers(0, 600_000),
    latency=st.none() | st.floats(0, 1_000),
    reserve=st.none() | st.integers(0, 200_000),
    result=st.sampled_from([RESULT, NO_DEVICE, detailed(RESULT), with_latency(None)]),
)
def test_fits_says_no_more_than_what_was_compared(
    ram: int | None, flash: int | None, latency: float | None, reserve: int | None, result: Result
) -> None:
    judged = judge(result, Limits(ram, flash, latency, reserve))
    sound = all(region.used_bytes + region.reserved_bytes <= region.capacity_bytes for region in judged.memory.regions)
    sound &= judged.flash.capacity_bytes is None or judged.flash.total_bytes <= judged.flash.capacity_bytes
    sound &= latency is None or (result.latency is not None and (result.latency.high_ms or 1e9) <= latency)
    assert judged.verdict.fits == sound
    assert {finding.code for finding in judged.verdict.findings} <= CODES.keys()
    assert judged.model == result.model and judged.latency == result.latency
