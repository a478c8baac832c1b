from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcuprof.errors import EXIT_USAGE, UsageError
from mcuprof.units import (
    format_bytes,
    format_count,
    format_ms,
    format_size,
    parse_clock_hz,
    parse_size,
    parse_time_ms,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("98304", 98_304),
        ("96K", 98_304),
        ("96k", 98_304),
        ("96KiB", 98_304),
        ("96 KB", 98_304),
        (" 1.5M ", 1_572_864),
        ("1G", 1_073_741_824),
        ("0", 0),
        ("512B", 512),
        ("0.1K", 102),  # 102.4, rounded down
        ("999999999999999", 999_999_999_999_999),
        ("900719925474099.3K", 922_337_203_685_477_683),  # exact beyond what a float holds: 922337203685477683.2
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "K",
        "-1",
        "-1K",
        "+1",
        "1e3",
        "1,000",
        "0x10",
        "1 2",
        "nan",
        "inf",
        "96Q",
        "96KK",
        "٣K",
        "1_000",
        "1.K",
        "9007199254740993",
        "9" * 400,
    ],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="not a size") as caught:
        parse_size(text)
    assert caught.value.exit_code == EXIT_USAGE


@given(st.integers(0, 10**15 - 1))
def test_a_printed_size_reads_back(count: int) -> None:
    assert parse_size(str(count)) == count
    exact = format_bytes(count).split(" B")[0].replace(",", "")
    assert int(exact) == count


@given(st.integers(0, 10**12))
def test_the_rounded_size_is_within_its_last_digit(count: int) -> None:
    text = format_size(count)
    number, unit = text.replace(",", "").split(" ")
    scale, step = {"B": (1, 0), "KiB": (1024, 0.05), "MiB": (1024**2, 0.005)}[unit]
    assert abs(float(number) * scale - count) <= step * scale * (1 + 1e-9)
    assert unit == "MiB" or float(number) < 1024


def test_the_form_that_the_design_fixes() -> None:
    assert format_bytes(73_728) == "73,728 B (72.0 KiB)"
    assert format_bytes(1_023) == "1,023 B"
    assert format_size(1024**2 - 1) == "1.00 MiB"
    assert format_bytes(-6_912) == "-6,912 B (-6.8 KiB)"


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("50ms", 50.0), ("1.5s", 1500.0), ("800us", 0.8), (" 2 ms ", 2.0), ("0ms", 0.0)]
)
def test_times(text: str, milliseconds: float) -> None:
    assert parse_time_ms(text) == pytest.approx(milliseconds)


@pytest.mark.parametrize("text", ["", "50", "-1ms", "50 m", "infs", "nanms", "1e3ms", "50MS", "9" * 400 + "ms"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="not a time"):
        parse_time_ms(text)


@pytest.mark.parametrize(
    ("text", "hertz"),
    [
        ("80MHz", 80_000_000),
        ("80mhz", 80_000_000),
        ("120M", 120_000_000),
        ("64000000", 64_000_000),
        ("32.768kHz", 32_768),
    ],
)
def test_clocks(text: str, hertz: int) -> None:
    assert parse_clock_hz(text) == hertz


@pytest.mark.parametrize("text", ["", "0", "0MHz", "0.0000001", "-80MHz", "80ms", "fast", "9" * 400])
def test_what_is_no_clock(text: str) -> None:
    with pytest.raises(UsageError, match="not a clock"):
        parse_clock_hz(text)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_usage_error(text: str) -> None:
    for parse in (parse_size, parse_time_ms, parse_clock_hz):
        try:
            value = parse(text)
        except UsageError as error:
            assert "\n" not in str(error)
        else:
            assert value >= 0 and math.isfinite(value)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (0.00001, "<0.0001 ms"),
        (0.053, "0.053 ms"),
        (0.53, "0.53 ms"),
        (9.994, "9.99 ms"),
        (9.996, "10.0 ms"),
        (12.34, "12.3 ms"),
        (99.96, "100 ms"),
        (1522.4, "1,522 ms"),
    ],
)
def test_milliseconds(milliseconds: float, text: str) -> None:
    assert format_ms(milliseconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1 k"),
        (826_400, "826 k"),
        (999_499, "999 k"),
        (999_500, "1 M"),
        (7_490_178, "7.49 M"),
        (999_999_999, "1 G"),
        (5_000_000_000_000, "5,000 G"),
    ],
)
def test_counts(count: int, text: str) -> None:
    assert format_count(count) == text


@given(st.integers(0, 10**15))
def test_a_count_keeps_three_digits(count: int) -> None:
    number, _, unit = format_count(count).replace(",", "").partition(" ")
    value = float(number) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[unit]
    assert "e" not in number
    assert value == pytest.approx(count, rel=5.01e-3)
