"""Amounts of a config: absolute, or a part of what the device has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from mcuprof.document import Where
from mcuprof.errors import UsageError
from mcuprof.units import parse_size, parse_time_ms

LatencyBound = Literal["upper", "nominal"]
_PERCENT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%\s*")


def parse_percent(text: str) -> Fraction:
    """`70%` as 7/10. Raises UsageError on anything else."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise UsageError(f"not a percentage: {text!r} (write a number with %, such as 2%)")
    return Fraction(match[1]) / 100


@dataclass(frozen=True, slots=True)
class Amount:
    """Bytes, or a part of a capacity that is not known before the device is."""

    size: int = 0
    share: Fraction | None = None

    def bytes_of(self, capacity: int | None, what: str) -> int:
        """The bytes, rounded down. Raises UsageError for a part of a capacity that is not known."""
        if self.share is None:
            return self.size
        if capacity is None:
            raise UsageError(f"{float(self.share * 100):g} % of the {what}, of which no size is known: write bytes")
        return int(self.share * capacity)


def parse_amount(text: str) -> Amount:
    """`96K` or `70%`. Raises UsageError on anything else."""
    if "%" in text:
        return Amount(share=parse_percent(text))
    try:
        return Amount(parse_size(text))
    except UsageError:
        raise UsageError(f"not an amount: {text!r} (write a size such as 96K, or a part such as 70%)") from None


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """A budget as configured; `where` has the line of each of `ram`, `flash`, `latency`."""

    ram: Amount | None = None
    flash: Amount | None = None
    latency_ms: float | None = None
    latency_bound: LatencyBound | None = None
    where: Mapping[str, Where] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """Growth fails when it is more than `share` of the old value and more than `least` (bytes or milliseconds)."""

    share: Fraction
    least: float

    def exceeded(self, old: float, new: float) -> bool:
        """Whether going from `old` to `new` breaks the rule."""
        return new - old > self.least and Fraction(new) - Fraction(old) > self.share * Fraction(old)


@dataclass(frozen=True, slots=True)
class Ratchet:
    """The rule for each figure of the baseline, and the line of the config that says it."""

    ram: Rule = Rule(Fraction(2, 100), 1024)
    flash: Rule = Rule(Fraction(2, 100), 1024)
    latency: Rule = Rule(Fraction(5, 100), 1.0)
    where: Mapping[str, Where] = field(default_factory=dict)


def parse_rule(max_increase: str, least: str, is_time: bool) -> Rule:
    """A rule from its two texts. Raises UsageError when one of them cannot be read."""
    return Rule(parse_percent(max_increase), parse_time_ms(least) if is_time else parse_size(least))
