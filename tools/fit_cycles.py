"""Writes cycles per instruction, with bands, to `device_db/kernels/cycles.toml`, and the measurements they come from.

Run by tools/fit.py, after fit_kernels. `rates.py` fits all systems together; here every network is held out once with
all that is nearly the same (leave-one-model-out), every board where its pair has others (leave-one-board-out), and the
bands are made of those errors.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, log

import numpy as np
from latency_rows import Measured, Pair, measurements
from rates import CALL, CALL_INSTRUCTIONS, SHARES, START, START_INSTRUCTIONS, WEIGHTS, Rates, fit
from tables import ROOT

_COVERAGE = 0.9
# With fewer held-out errors than this their rank says nothing: then what other pairs as small get wrong counts too.
_ENOUGH = 9
_COLUMNS = (
    *("runtime", "kernels", "core", "board", "model", "variant", "clock_hz", "ms", "predicted_ms", "held_out_ms"),
    *("band", "instructions", "weighed", "operators", "source"),
)
_HEADER = """\
# Cycles per instruction, from published latencies. Written by tools/fit_cycles.py; do not edit.
# cycles = board x cpi x (sum of share x instructions + per_operator x operators + per_inference
#          + per_weight_byte x bytes of weights); board is 1 for one that was not measured.
# The instructions are those of the kernels named in `work`; where these stand in for the pair's own, `rough` is true.
# The band is a factor: measured / predicted of models that the fit had not seen lies in [1/band, band] (90 %).
# band_elsewhere is for boards (and clocks) that were not measured: band x the error of a board predicted from others.
"""
_NOTES = {
    ("tflm", "cmsis-nn", "cortex-m4"): "TFLM and microTVM call the same kernels; flash at 5 wait states",
    ("tflm", "cmsis-nn", "cortex-m33"): "microTVM, which calls the same kernels; flash cache on",
    ("tflm", "cmsis-nn", "cortex-m7"): "480 MHz, the part's maximum, is assumed: the source prints no clock",
    ("tflm", "cmsis-nn", "cortex-m85"): "instructions are those counted on Cortex-M55, which runs the same code",
    ("tflm", "reference", "cortex-m7"): "480 MHz is assumed; a build with assertions on by its speed, NDEBUG is faster",
    ("tflm", "reference", "rv32imac"): "TFLM 2.3.1",
}


@dataclass(frozen=True, slots=True)
class Check:
    """Held-out errors of one pair, ln(measured / predicted), by row; `boards` of boards predicted from others."""

    rows: tuple[Measured, ...]
    models: tuple[float, ...]
    boards: tuple[float, ...]
    band: float
    inside: float


def hold_out(rows: Sequence[Measured], full: Rates) -> dict[int, float]:
    """Row index → error, predicted by the fit without its group of models; absent where its pair has no other."""
    errors = {}
    for group in sorted({row.group for row in rows}):
        rest = [row for row in rows if row.group != group]
        known, rates = {row.pair for row in rest}, fit(rest, near=full)
        for index, row in enumerate(rows):
            if row.group == group and row.pair in known:
                errors[index] = log(row.cycles / rates.cycles(row))
    return errors


def hold_out_boards(rows: Sequence[Measured], full: Rates) -> dict[int, float]:
    """Row index → error, predicted by the fit without its board, for pairs with rows of another board."""
    errors = {}
    boards: dict[Pair, set[str]] = defaultdict(set)
    for row in rows:
        boards[row.pair].add(row.board)
    for board in sorted({row.board for row in rows if len(boards[row.pair]) > 1}):
        rest = [row for row in rows if row.board != board]
        rates = fit(rest, near=full)
        for index, row in enumerate(rows):
            if row.board == board and len(boards[row.pair]) > 1:
                errors[index] = log(row.cycles / rates.cycles(row))
    return errors


def quantile(errors: Iterable[float]) -> float:
    """The size that a new error stays below with 90 % (split-conformal rank; the largest where there are too few)."""
    sizes = sorted(abs(error) for error in errors)
    return sizes[min(len(sizes), ceil((len(sizes) + 1) * _COVERAGE)) - 1] if sizes else 0.0


def width(mine: Sequence[float], small: Sequence[float]) -> float:
    """Half of the band in ln: rank of the pair's errors; with fewer than nine at least that of small pairs like it."""
    if len(mine) >= _ENOUGH:
        return quantile(mine)
    return max([quantile(small), *(abs(error) for error in mine)])


def checks(rows: Sequence[Measured], models: Mapping[int, float], boards: Mapping[int, float]) -> dict[Pair, Check]:
    """Errors and band per pair. `inside` is how often a band made without a group of models held it."""
    by_pair: dict[Pair, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_pair[row.pair].append(index)
    tested = {pair: [index for index in mine if index in models] for pair, mine in by_pair.items()}
    few = {pair for pair, mine in tested.items() if len(mine) < _ENOUGH}
    found = {}
    for pair, mine in by_pair.items():
        hits = []
        like = [other for other in few if other[0] == pair[0]]
        small = [index for other in like for index in tested[other]]
        if len(small) < _ENOUGH:
            small = [index for other in few for index in tested[other]]
        for index in tested[pair]:
            group = rows[index].group
            own = [models[other] for other in tested[pair] if rows[other].group != group]
            rest = [models[other] for other in small if rows[other].group != group]
            if own:
                hits.append(abs(models[index]) <= width(own, rest))
        found[pair] = Check(
            tuple(rows[index] for index in mine),
            tuple(models[index] for index in tested[pair]),
            tuple(boards[index] for index in mine if index in boards),
            width([models[index] for index in tested[pair]], [models[index] for index in small]),
            float(np.mean(hits)) if hits else float("nan"),
        )
    return found


def elsewhere(rows: Sequence[Measured], boards: Mapping[int, float]) -> float:
    """How far a whole board is off when predicted from others, in ln (90 %): the mean over its rows counts."""
    means: dict[tuple[Pair, str], list[float]] = defaultdict(list)
    for index, error in boards.items():
        means[rows[index].pair, rows[index].board].append(error)
    return quantile(float(np.mean(errors)) for errors in means.values())


def render(found: Mapping[Pair, Check], rates: Rates, other: float) -> str:
    """The TOML file. Pairs of which no model could be held out are left out: nothing says how wrong they are."""
    lines = [_HEADER]
    for pair, check in found.items():
        if not check.models:
            continue
        _, runtime, kernels, core = pair
        factors = {share: rates.factor(pair, share) for share in (*SHARES, CALL, START, WEIGHTS)}
        cpi = level(pair, check, rates)
        boards = sorted({(row.board, row.clock_hz, rates.board(row)) for row in check.rows})
        sizes = np.expm1(np.abs(check.models))
        note = _NOTES.get((runtime, kernels, core), "")
        lines += [
            "[[anchors]]",
            f'core = "{core}"',
            f'kernels = "{kernels}"',
            f'runtime = "{runtime}"',
            f'work = ["{check.rows[0].proxy}", "{check.rows[0].library}"]',
            f"rough = {str(runtime != 'tflm').lower()}",
            f"cpi = {cpi:.4g}",
            f"shares = {{ {', '.join(f'{share} = {factors[share] / cpi:.4g}' for share in SHARES)} }}",
            f"per_operator = {factors[CALL] * CALL_INSTRUCTIONS / cpi:.5g}",
            f"per_inference = {factors[START] * START_INSTRUCTIONS / cpi:.5g}",
            f"per_weight_byte = {factors[WEIGHTS] / cpi:.4g}",
            f"boards = [{', '.join(f'[{_quoted(name)}, {clock}, {factor:.4g}]' for name, clock, factor in boards)}]",
            f"band = {exp(check.band):.4g}",
            f"band_elsewhere = {exp(check.band + other):.4g}",
            f"rows = {len(check.rows)}",
            f"models = {len({row.group for row in check.rows})}",
            f"error_median = {np.median(sizes):.4f}",
            f"error_worst = {sizes.max():.4f}",
            f"source = {_quoted('; '.join(sorted({row.source for row in check.rows})))}",
            f"note = {_quoted(note)}",
            "",
        ]
    return "\n".join(lines)


def level(pair: Pair, check: Check, rates: Rates) -> float:
    """Cycles per instruction of a pair: the mean over its rows, weighed by their instructions."""
    spent = sum(rates.factor(pair, share) * row.work.get(share, 0.0) for row in check.rows for share in SHARES)
    return spent / sum(sum(row.work.values()) for row in check.rows)


def weighed(row: Measured, check: Check, rates: Rates) -> float:
    """What a row's cycles are in instructions at its pair's level, without what starting the operators costs."""
    started = rates.factor(row.pair, CALL) * CALL_INSTRUCTIONS * row.operators
    return (rates.cycles(row) / rates.board(row) - started) / level(row.pair, check, rates)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'") + '"'


def summary(found: Mapping[Pair, Check], other: float) -> str:
    """The latency part of VALIDATION.md."""
    lines = [
        "| runtime | kernels | core | rows | models | boards | median | 90 % | worst | board out | band | inside "
        "| worst rows |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---|---:|---|",
    ]
    for (_, runtime, kernels, core), check in found.items():
        counts = (
            f"{len(check.rows)} | {len({row.group for row in check.rows})} | {len({row.board for row in check.rows})}"
        )
        if not check.models:
            lines.append(f"| {runtime} | {kernels} | {core} | {counts} | | | | | no band: no data | | |")
            continue
        sizes = np.expm1(np.abs(check.models))
        named = sorted(zip(check.models, check.rows, strict=False), key=lambda pair: -abs(pair[0]))[:2]
        worst = ", ".join(f"{row.model} on {row.board} {exp(error) - 1:+.0%}" for error, row in named)
        boards = f"{np.median(np.expm1(np.abs(check.boards))):.1%}" if check.boards else ""
        inside = "" if np.isnan(check.inside) else f"{check.inside:.0%}"
        lines.append(
            f"| {runtime} | {kernels} | {core} | {counts} | {np.median(sizes):.1%} | {np.quantile(sizes, 0.9):.1%} "
            f"| {sizes.max():.1%} | {boards} | x/÷ {exp(check.band):.2f} (elsewhere {exp(check.band + other):.2f}) "
            f"| {inside} | {worst} |"
        )
    return "\n".join(lines)


def totals(found: Mapping[Pair, Check]) -> str:
    """All rows together, and those of pairs with at least nine networks, where leaving one out does not extrapolate."""
    lines = []
    for name, pairs in (
        ("all pairs", list(found.values())),
        ("pairs of nine networks or more", [each for each in found.values() if len({r.group for r in each.rows}) >= 9]),
        ("pairs of fewer", [each for each in found.values() if len({r.group for r in each.rows}) < 9]),
    ):
        sizes = np.expm1(np.abs([error for check in pairs for error in check.models]))
        boards = np.expm1(np.abs([error for check in pairs for error in check.boards]))
        inside = [(check.inside, len(check.models)) for check in pairs if not np.isnan(check.inside)]
        held = sum(share * count for share, count in inside) / max(1, sum(count for _, count in inside))
        board = f"; leave-one-board-out: {len(boards)} rows, median {np.median(boards):.1%}" if len(boards) else ""
        lines.append(
            f"- {name}: {len(sizes)} rows, median {np.median(sizes):.1%}, {np.mean(sizes <= 0.2):.0%} within 20 %, "
            f"90 % within {np.quantile(sizes, 0.9):.0%}; the band holds {held:.0%}{board}"
        )
    return "\n".join(lines)


def main() -> tuple[str, str]:
    """Fit, validate and write; returns the table and the totals for VALIDATION.md."""
    rows = measurements()
    rates = fit(rows)
    models, boards = hold_out(rows, rates), hold_out_boards(rows, rates)
    found, other = checks(rows, models, boards), elsewhere(rows, boards)
    (ROOT / "device_db" / "kernels" / "cycles.toml").write_text(render(found, rates, other), encoding="utf-8")
    folder = ROOT / "device_db" / "measurements"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cpu_latency.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for index, row in enumerate(rows):
            predicted = rates.cycles(row) / row.clock_hz * 1000
            held = f"{row.ms / exp(models[index]):.5g}" if index in models else ""
            band = f"{exp(found[row.pair].band):.4g}" if found[row.pair].models else ""
            left = (row.runtime, row.kernels, row.core, row.board, row.model, row.variant, row.clock_hz, f"{row.ms:g}")
            work = (round(sum(row.work.values())), round(weighed(row, found[row.pair], rates)), row.operators)
            writer.writerow((*left, f"{predicted:.5g}", held, band, *work, row.source))
    return summary(found, other), totals(found)


if __name__ == "__main__":
    print(*main(), sep="\n\n")
