"""Milliseconds on NPUs of which only measured networks are published: cycles = a + b · MACs, fitted on those.

`device_db/measurements/npu_latency.csv` holds the rows. Two numbers say little about a network of another kind, so the
band is what the fit makes of networks that it has not seen: the worst of them times 1.5, or with nine or more the 90 %
rank. Where fewer than three networks were measured there is no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, log
from statistics import median

import numpy as np

from mcuprof.costs.data import rows
from mcuprof.costs.laws import NoData

_LEAST, _MANY = 3, 9
_COVERAGE, _MARGIN = 0.9, 1.5


@dataclass(frozen=True, slots=True)
class Published:
    """Time with its band, and the basis in one sentence."""

    ms: float
    low_ms: float
    high_ms: float
    basis: str


@dataclass(frozen=True, slots=True)
class _Row:
    model: str
    macs: float
    cost: float


def published(accelerator: str, macs: int, clock_hz: int | None) -> Published | NoData:
    """The time of a network of so many MACs on this accelerator (id), in cycles where the measured clocks are known."""
    found = [row for row in rows("measurements/npu_latency.csv") if row["accelerator"] == accelerator]
    clocked = [row for row in found if row["clock_hz"]]
    by_clock = len(clocked) == len(found) and bool(found)
    if by_clock and clock_hz is None:
        return NoData("the clock of the NPU is not known")
    scale = 1000.0 / (clock_hz or 1) if by_clock else 1.0
    data = [
        _Row(
            row["model"],
            float(row["macs"]),
            float(row["ms"]) / 1000 * float(row["clock_hz"]) if by_clock else float(row["ms"]),
        )
        for row in found
    ]
    models = list(dict.fromkeys(row.model for row in data))
    if len(models) < _LEAST:
        return NoData(f"latencies of {len(models)} networks on {accelerator} are published, too few to estimate others")
    errors = sorted(_held_out(data, model) for model in models)
    rank = ceil((len(errors) + 1) * _COVERAGE)
    many = len(errors) >= _MANY and rank <= len(errors)
    band = exp(errors[rank - 1] if many else errors[-1] * _MARGIN)
    low, high = min(row.macs for row in data), max(row.macs for row in data)
    if not low / 4 <= macs <= high * 4:
        return NoData(f"published networks have {low:,.0f} to {high:,.0f} MACs, this one {macs:,}")
    ms = _predict(_fit(data), macs) * scale
    sources = len({row["source"] for row in found})
    basis = (
        f"modelled: linear in MACs, from {len(data)} published latencies of {len(models)} networks "
        f"({sources} sources), median error {exp(median(errors)) - 1:.0%} on unseen networks"
    )
    return Published(ms, ms / band, ms * band, basis)


def _held_out(data: list[_Row], model: str) -> float:
    """|ln| of measured over predicted, the worst row of a network that the fit has not seen."""
    line = _fit([row for row in data if row.model != model])
    return max(abs(log(row.cost / _predict(line, row.macs))) for row in data if row.model == model)


def _fit(data: list[_Row]) -> tuple[float, float]:
    """Least squares of relative errors, neither number below zero, then scaled so that the logarithms are centred."""
    line = _least_squares(data)
    level = exp(float(np.mean([log(row.cost / _predict(line, row.macs)) for row in data])))
    return line[0] * level, line[1] * level


def _least_squares(data: list[_Row]) -> tuple[float, float]:
    weights = np.array([1 / row.cost for row in data])
    macs = np.array([row.macs for row in data])
    both, *_ = np.linalg.lstsq(np.stack((weights, macs * weights), axis=1), np.ones(len(data)), rcond=None)
    if both.min() >= 0:
        return float(both[0]), float(both[1])
    slope = macs * weights
    return 0.0, float(slope.sum() / (slope**2).sum())


def _predict(line: tuple[float, float], macs: float) -> float:
    return max(line[0] + line[1] * macs, 1e-12)
