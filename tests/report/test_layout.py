"""Whole reports against golden files. The figures in them follow by hand from tests/documents.py; see each comment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mcuprof.budgets import Limits, judge
from mcuprof.document import Finding, RegionUse, Result, Verdict
from mcuprof.report import FORMATS, render
from mcuprof.report.page import columns
from tests.documents import LATENCY, MEMORY, NO_DEVICE, RESULT, detailed, report

GOLDEN = Path(__file__).parent / "golden"
replace = msgspec.structs.replace

FITS = judge(RESULT, Limits())
# 105,216 of 98,304 B: 6,912 too many; the band's upper end 359.4 is over 300
OVER = judge(RESULT, Limits(ram_bytes=96 * 1024, latency_ms=300))
OVER_DETAILED = judge(detailed(RESULT), Limits(ram_bytes=96 * 1024))
UNJUDGED = judge(NO_DEVICE, Limits())
# 105,216 + 49,152 reserved = 154,368 of 131,072: 23,296 too many, more than the 18,432 a plan could save
RESERVED = judge(
    replace(
        RESULT,
        memory=replace(
            MEMORY,
            stack_bytes=None,
            regions=(RegionUse("DTCM", 105_216, 0, 131_072), RegionUse("AXI-SRAM", 0, 0, 524_288)),
        ),
    ),
    Limits(reserve_ram_bytes=48 * 1024),
)


@pytest.mark.parametrize(
    ("golden", "results", "options"),
    [
        ("check_fits_80.txt", [FITS], {}),
        ("check_over_80.txt", [OVER], {}),
        ("check_over_40.txt", [OVER], {"width": 40}),
        ("check_no_device_80.txt", [UNJUDGED], {}),
        ("check_ascii_80.txt", [RESERVED], {"unicode": False}),
        ("check_two_80.txt", [FITS, OVER], {}),
        ("analyze_over_80.txt", [OVER_DETAILED], {"detail": True}),
        ("analyze_over_40.txt", [OVER_DETAILED], {"detail": True, "width": 40}),
        ("two.md", [OVER, UNJUDGED], {"format": "markdown"}),
    ],
)
def test_layout(golden: str, results: list[Result], options: dict[str, Any]) -> None:
    printed = render(report(*results), **{"format": "text", **options})
    assert printed == (GOLDEN / golden).read_text(encoding="utf-8")


def test_the_first_five_lines_answer() -> None:
    first = render(report(OVER), "text").splitlines()[:5]
    assert first[0].startswith("DOES NOT FIT")
    assert any("lacks 6,912 B" in line for line in first)
    assert any(line.startswith("  fix") for line in first)


def crowded() -> Result:
    """More to say than fits on a page: ten unsupported operators, twenty warnings, hostile names, four regions."""
    name = "x\x1b[31m" * 200
    found = tuple(
        Finding("O401", "error", f"operator {index} CUSTOM:{name} is not in tflm", name) for index in range(10)
    )
    found += tuple(Finding("O404", "warning", f"operator {index} falls back", "widen it") for index in range(20))
    peak = MEMORY.peak
    assert peak is not None
    tensors = tuple(replace(tensor, name=name) for tensor in peak.tensors * 20)
    regions = tuple(RegionUse(f"region-with-a-long-name-{index}", 105_216, 1, 10) for index in range(4))
    return replace(
        detailed(RESULT),
        model=replace(RESULT.model, path="models/" + "deep/" * 50 + "a.tflite"),
        target=replace(RESULT.target, device="device-with-a-name-that-is-longer-than-any-line-should-be"),
        memory=replace(detailed(RESULT).memory, regions=regions, peak=replace(peak, tensors=tensors, operator=name)),
        latency=replace(LATENCY, basis=name),
        verdict=Verdict(False, found),
    )


@pytest.mark.parametrize("result", [FITS, OVER, UNJUDGED, RESERVED, judge(crowded(), Limits(latency_ms=1.0))])
@pytest.mark.parametrize("width", [40, 41, 57, 80, 120])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_wider_than_the_page_and_check_is_short(result: Result, width: int, unicode: bool) -> None:
    for detail in (False, True):
        text = render(report(result), "text", width=width, unicode=unicode, detail=detail)
        lines = text.splitlines()
        assert text.endswith("\n") and not text.endswith("\n\n")
        assert max(map(columns, lines)) <= width
        assert all(line == line.rstrip() for line in lines)
        assert all(line.isprintable() for line in lines)
        assert unicode or text.isascii()
        assert detail or len(lines) <= 15


def test_a_verdict_that_needs_a_plan_says_so() -> None:
    planned = replace(FITS, memory=replace(FITS.memory, order="optimal", in_place="overlap"))
    text = render(report(planned), "text", width=60)
    assert "with order optimal, in-place overlap" in text
    assert "with order" not in render(report(FITS), "text")


def test_a_lower_bound_is_called_one() -> None:
    found = Verdict(True, (Finding("F203", "warning", "no code size for CUSTOM"),))
    for result in (replace(FITS, verdict=found), replace(UNJUDGED, verdict=found)):
        assert "at least 447,867 B (437.4 KiB)" in render(report(result), "text")
    assert "at least" not in render(report(FITS), "text")


def test_what_was_left_out_is_counted() -> None:
    text = render(report(judge(crowded(), Limits())), "text")
    shown = text.count("  O401") + text.count("  O404") + text.count("  M101")
    hidden = int(text.rsplit("more     ", 1)[1].split(" more")[0])
    assert shown + hidden == len(judge(crowded(), Limits()).verdict.findings)


def test_colour_changes_nothing_but_colour() -> None:
    import re

    for result in (FITS, OVER, OVER_DETAILED):
        plain = render(report(result), "text", detail=True)
        coloured = render(report(result), "text", detail=True, color=True)
        assert coloured != plain
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_the_verdict_carries_the_accent() -> None:
    assert render(report(FITS), "text", color=True).startswith("\x1b[1;32mFITS\x1b[0m")
    assert render(report(OVER), "text", color=True).startswith("\x1b[1;31mDOES NOT FIT\x1b[0m")
    assert render(report(UNJUDGED), "text", color=True).startswith("\x1b[1mNOT JUDGED\x1b[0m")


@pytest.mark.parametrize("format", list(FORMATS))
def test_an_empty_document_can_be_rendered(format: str) -> None:
    assert isinstance(render(report(), format), str)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (FITS, "latency  312 ms (281 ms to 359 ms)  modelled: 15 % cross-validated"),
        (UNJUDGED, "latency  no data: no device was named"),
        (
            replace(FITS, latency=replace(LATENCY, ms=None, low_ms=None, high_ms=None, cycles=None, basis="counted")),
            "latency  no data; 14 M instructions  counted",
        ),
        (replace(FITS, latency=replace(LATENCY, low_ms=None, high_ms=None)), "latency  312 ms, no band"),
    ],
)
def test_latency_without_a_basis_is_no_data(result: Result, words: str) -> None:
    assert f"  {words}" in render(report(result), "text")
