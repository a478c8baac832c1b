"""Sizes and times, in and out.

Input: `96K` = 96 KiB = 98,304 bytes (K, M, G are powers of 1024, as in linker scripts), `50ms`, `80MHz`.
Output: `73,728 B (72.0 KiB)`, `12.3 ms`.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from mcuprof.errors import UsageError

# Fifteen digits are enough for any microcontroller and keep every value exact and finite.
_NUMBER = r"\s*(?P<number>[0-9]{1,15}(?:\.[0-9]{1,15})?)\s*"
_SIZE = re.compile(_NUMBER + r"(?P<unit>[KMG]?)(?:i?B)?\s*", re.IGNORECASE)
_TIME = re.compile(_NUMBER + r"(?P<unit>us|ms|s)\s*")
_CLOCK = re.compile(_NUMBER + r"(?P<unit>[kMG]?)(?:Hz)?\s*", re.IGNORECASE)

_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_HERTZ = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def parse_size(text: str) -> int:
    """Bytes in `text`, rounded down: `98304`, `96K`, `96KiB`, `1.5M`. Raises UsageError otherwise."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"not a size: {text!r} (write bytes, or a number with K, M or G, such as 96K)")
    return int(Fraction(match["number"]) * _BYTES[match["unit"].upper()])


def parse_time_ms(text: str) -> float:
    """Milliseconds in `text`: `50ms`, `1.5s`, `800us`. The unit is required. Raises UsageError on anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise UsageError(f"not a time: {text!r} (write a number with us, ms or s, such as 50ms)")
    return float(match["number"]) * _MILLISECONDS[match["unit"]]


def parse_clock_hz(text: str) -> int:
    """Hertz in `text`: `80MHz`, `120M`, `64000000`. Raises UsageError on anything else and on zero."""
    match = _CLOCK.fullmatch(text)
    hertz = round(Fraction(match["number"]) * _HERTZ[match["unit"].upper()]) if match else 0
    if hertz <= 0:
        raise UsageError(f"not a clock: {text!r} (write Hz, or a number with kHz, MHz or GHz, such as 80MHz)")
    return hertz


def format_bytes(count: int) -> str:
    """`73,728 B (72.0 KiB)`; below 1 KiB only the bytes."""
    if abs(count) < 1024:
        return f"{count:,} B"
    return f"{count:,} B ({format_size(count)})"


def format_size(count: int) -> str:
    """`640 B`, `72.0 KiB`, `1.20 MiB`: for places where single bytes would be noise."""
    if abs(count) < 1024:
        return f"{count} B"
    if round(abs(count) / 1024, 1) < 1024:
        return f"{count / 1024:.1f} KiB"
    return f"{count / 1024**2:,.2f} MiB"


def format_ms(milliseconds: float) -> str:
    """`0.53 ms`, `12.3 ms`, `1,522 ms`: three significant digits, thousands separated; two digits below 0.1 ms."""
    if 0 < milliseconds < 1e-4:
        return "<0.0001 ms"
    if milliseconds < 0.0995:
        return f"{milliseconds:.2g} ms"
    decimals = 2 if milliseconds < 9.995 else 1 if milliseconds < 99.95 else 0
    return f"{milliseconds:,.{decimals}f} ms"


def format_uj(microjoules: float) -> str:
    """`8.45 µJ`, `323 µJ`, `29,207 µJ`: three significant digits at least, thousands separated."""
    decimals = max(0, 2 - math.floor(math.log10(microjoules))) if 0 < microjoules < 1000 else 0
    return f"{microjoules:,.{min(decimals, 6)}f} µJ"


def format_count(count: int) -> str:
    """`7.49 M`, `826 k`, `264`: three significant digits, decimal prefixes (MACs, instructions, cycles)."""
    magnitude = abs(count)
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if magnitude >= limit - limit // 2000:  # where the unit below would round up to 1000
            return f"{count / limit:.3g} {unit}" if magnitude < 999.5 * limit else f"{count / limit:,.0f} {unit}"
    return str(count)
