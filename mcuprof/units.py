"""Sizes and times, in and out.

Input: `96K` = 96 KiB = 98,304 bytes (K, M, G are powers of 1024, as in linker scripts), `50ms`, `80MHz`.
Output: `73,728 B (72.0 KiB)`, `12.3 ms`.
"""

from __future__ import annotations

import re

from mcuprof.errors import UsageError

_SIZE = re.compile(r"^\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMG]?)(?:i?B)?\s*$", re.IGNORECASE)
_TIME = re.compile(r"^\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s)\s*$")
_CLOCK = re.compile(r"^\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>k|M|G)?(?:Hz)?\s*$", re.IGNORECASE)

_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_HERTZ = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def parse_size(text: str) -> int:
    """Bytes in `text`: `98304`, `96K`, `96KiB`, `1.5M`. Raises UsageError on anything else, negatives included."""
    match = _SIZE.match(text)
    if match is None:
        raise UsageError(f"not a size: {text!r} (write bytes, or a number with K, M or G, such as 96K)")
    return int(float(match["number"]) * _BYTES[match["unit"].upper()])


def parse_time_ms(text: str) -> float:
    """Milliseconds in `text`: `50ms`, `1.5s`, `800us`. The unit is required. Raises UsageError on anything else."""
    match = _TIME.match(text)
    if match is None:
        raise UsageError(f"not a time: {text!r} (write a number with us, ms or s, such as 50ms)")
    return float(match["number"]) * _MILLISECONDS[match["unit"]]


def parse_clock_hz(text: str) -> int:
    """Hertz in `text`: `80MHz`, `120M`, `64000000`. Raises UsageError on anything else and on zero."""
    match = _CLOCK.match(text)
    hertz = round(float(match["number"]) * _HERTZ[(match["unit"] or "").upper()]) if match else 0
    if hertz <= 0:
        raise UsageError(f"not a clock: {text!r} (write Hz, or a number with kHz, MHz or GHz, such as 80MHz)")
    return hertz


def format_bytes(count: int) -> str:
    """`73,728 B (72.0 KiB)`; below 1 KiB only the bytes."""
    if abs(count) < 1024:
        return f"{count:,} B"
    return f"{count:,} B ({format_size(count)})"


def format_size(count: int) -> str:
    """`72.0 KiB`, `1.20 MiB`, `640 B`: three significant digits at most, for places where bytes would be noise."""
    if abs(count) < 1024:
        return f"{count} B"
    if abs(count) < 1024**2:
        return f"{count / 1024:.1f} KiB"
    return f"{count / 1024**2:.2f} MiB"


def format_ms(milliseconds: float) -> str:
    """`0.53 ms`, `12.3 ms`, `1,522 ms`: three significant digits, thousands separated."""
    if milliseconds >= 100:
        return f"{milliseconds:,.0f} ms"
    if milliseconds >= 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.2g} ms" if milliseconds < 0.1 else f"{milliseconds:.2f} ms"


def format_count(count: int) -> str:
    """`7.49 M`, `826 k`, `264`: three significant digits, decimal prefixes (MACs, instructions, cycles)."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(count) >= limit:
            return f"{count / limit:.3g} {unit}"
    return str(count)
