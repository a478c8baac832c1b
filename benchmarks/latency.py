"""Milliseconds against published latencies, beside what simpler models would say of the same held-out networks.

Every network is predicted without itself and without all that are nearly the same, in the same run:
- this model: `tools/rates.py`, all systems fitted together;
- constant: one number of cycles per multiply-accumulate for each runtime, kernel set and core;
- table: cycles per multiply-accumulate for each kind of operator, per runtime, kernel set and core.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import table, write
from mcuprof.hardware import list_devices, load_device

_KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_TOOLS = str(Path(__file__).resolve().parents[1] / "tools")


def run() -> None:
    """Writes results/latency.md."""
    sys.path.insert(0, _TOOLS)
    from fit_cycles import hold_out
    from latency_rows import measurements
    from rates import fit

    rows = measurements()
    ours = hold_out(rows, fit(rows))
    simple = {"constant": _baseline(rows, _constant), "table": _baseline(rows, _per_kind)}
    judged = sorted(set(ours).intersection(*simple.values()))
    errors = {"this model": ours, **simple}
    summary = [(name, *_figures([found[index] for index in judged])) for name, found in errors.items()]
    by_pair: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index in judged:
        by_pair[rows[index].pair[1:]].append(index)
    pairs = [
        (*pair, len(mine), *(_percent(np.median(_sizes([found[i] for i in mine]))) for found in errors.values()))
        for pair, mine in sorted(by_pair.items())
    ]
    head = ("runtime", "kernels", "core", "rows", *(f"{name}, median" for name in errors))
    parts = [
        table("All rows that every model can predict", ("model", "rows", "median", "within 20 %", "90 %"), summary),
        table("By runtime, kernels and core", head, pairs),
        table("Loading one device", ("devices", "median ms", "worst ms"), [_loading()]),
    ]
    print(write("latency", "Latency: held-out errors and baselines", parts))


def _baseline(rows: Sequence[Any], learn: Any) -> dict[int, float]:
    """Row index → ln(measured / predicted), learned per pair from the rows of other networks."""
    errors = {}
    for index, row in enumerate(rows):
        rest = [other for other in rows if other.pair == row.pair and other.group != row.group and other.macs]
        if rest and row.macs:
            predicted = sum(rate * row.macs.get(kind, 0) for kind, rate in learn(rest).items())
            if predicted > 0:
                errors[index] = log(row.cycles / predicted)
    return errors


def _constant(rest: Sequence[Any]) -> Mapping[str, float]:
    rate = exp(float(np.mean([log(row.cycles / sum(row.macs.values())) for row in rest])))
    return dict.fromkeys({kind for row in rest for kind in row.macs} | set(_KINDS), rate)


def _per_kind(rest: Sequence[Any]) -> Mapping[str, float]:
    """Non-negative least squares on relative errors; kinds that only other networks have cost the constant."""
    from fitting import nonnegative

    matrix = np.array([[row.macs.get(kind, 0) / row.cycles for kind in _KINDS] for row in rest])
    constant = _constant(rest)
    scale = np.where(matrix.max(axis=0) > 0, matrix.max(axis=0), 1.0)
    rates = nonnegative(matrix / scale, np.ones(len(rest))) / scale
    return {kind: float(rate) if rate > 0 else constant[kind] for kind, rate in zip(_KINDS, rates, strict=True)}


def _figures(errors: Sequence[float]) -> tuple[int, str, str, str]:
    sizes = _sizes(errors)
    return len(sizes), _percent(np.median(sizes)), _percent(np.mean(sizes <= 0.2)), _percent(np.quantile(sizes, 0.9))


def _sizes(errors: Sequence[float]) -> Any:
    return np.expm1(np.abs(np.array(errors)))


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _loading() -> tuple[int, float, float]:
    """CPU milliseconds of loading each device of the database by name."""
    names = [device.id for device in list_devices()]
    spent = []
    for name in names:
        begin = time.process_time()
        load_device(name)
        spent.append((time.process_time() - begin) * 1000)
    return len(names), float(np.median(spent)), max(spent)
