"""Writes the power that boards drew while they inferred to `device_db/kernels/energy.toml`, and the runs it comes from.

Run by tools/fit.py, after fit_cycles. Energy per inference = time x power: on one board with one runtime, clock and
supply the power of the four MLPerf Tiny networks is nearly the same. Runs at another supply are never put together.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from fit_cycles import quantile
from latency_rows import board_of, core_of, system_of
from tables import ROOT, table

Key = tuple[str, str, str, str, int, str]
_HEADER = """\
# Power while inferring, from energies that MLPerf Tiny publishes. Written by tools/fit_energy.py; do not edit.
# energy = time x milliwatts. The band is a factor: the power of a network that was not measured lies in
# [milliwatts / band, milliwatts x band] (90 %); it is for this board, runtime, clock and supply only.
"""
_COLUMNS = (
    *("runtime", "kernels", "core", "board", "clock_hz", "supply", "model", "ms", "uj", "mw", "held_out_mw"),
    *("held_out_uj", "band", "source"),
)
# Streaming wake words are reported per stream, idle time included.
_STREAMS = {"sww"}


@dataclass(frozen=True, slots=True)
class Run:
    """One energy run: time and energy of an inference. `published_ms` is that of the performance run beside it."""

    key: Key
    model: str
    ms: float
    uj: float
    published_ms: float
    source: str
    software: str

    @property
    def milliwatts(self) -> float:
        """Mean power while inferring."""
        return self.uj / self.ms


@dataclass(frozen=True, slots=True)
class Power:
    """The power of one key: `held_out` is ln(measured / predicted) of each run by runs of other networks."""

    runs: tuple[Run, ...]
    milliwatts: float
    held_out: tuple[float, ...]


def main() -> tuple[str, str]:
    """Fit, validate and write; returns the table and the totals for VALIDATION.md."""
    found = powers(runs())
    pooled = quantile(error for power in found.values() for error in power.held_out)
    bands = {key: max([pooled, *map(abs, power.held_out)]) for key, power in found.items()}
    (ROOT / "device_db" / "kernels" / "energy.toml").write_text(render(found, bands), encoding="utf-8")
    chain = _chain(found, bands)
    with (ROOT / "device_db" / "measurements" / "energy.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for key, power in found.items():
            for run, error in zip(power.runs, power.held_out, strict=True):
                predicted, band = chain.get(run, (None, None))
                held = ("" if predicted is None else f"{predicted:.5g}", "" if band is None else f"{band:.4g}")
                shown = (f"{run.ms:g}", f"{run.uj:g}", f"{run.milliwatts:.4g}", f"{run.milliwatts / exp(error):.4g}")
                runtime, kernels, core, board, clock, supply = key
                writer.writerow((runtime, kernels, core, board, clock, supply, run.model, *shown, *held, run.source))
    return summary(found, bands), totals(found, chain)


def runs() -> list[Run]:
    """All usable energy runs, sorted: of microcontrollers without accelerator, one inference at a time."""
    found = []
    for row in table("mlperf_tiny.csv"):
        system, board = system_of(row["framework"]), board_of(row["board"])
        core = core_of(f"{row['board']} {row['core']} ")
        if not row["energy_uj"] or row["division"] != "closed" or row["class"] != "mcu" or row["benchmark"] in _STREAMS:
            continue
        if system is None or board is None or core is None:
            continue
        clock = round(float(row["clock_mhz"]) * 1e6)
        key = (system.runtime, system.kernels, core, board, clock, supply_of(row["supply"]))
        ms = float(row["energy_run_latency_ms"] or row["latency_ms"])
        source = f"mlperf_tiny {row['round']} {row['submitter']}"
        found.append(
            Run(key, row["benchmark"], ms, float(row["energy_uj"]), float(row["latency_ms"]), source, row["framework"])
        )
    return sorted(found, key=lambda run: (run.key, run.source, run.model, run.ms))


def supply_of(text: str) -> str:
    """`1.8 V`, `3 V, SMPS`, or `supply not stated`: what of the source's words changes the energy."""
    volts = re.search(r"([\d.]+) ?V", text)
    if volts is None:
        return "supply not stated"
    return f"{float(volts[1]):g} V" + (", SMPS" if "SMPS" in text else "")


def powers(rows: Sequence[Run]) -> dict[Key, Power]:
    """The geometric mean of each key, and how far that of the other networks is off. Keys of one network are left out:
    nothing says how wrong they are.
    """
    by_key: dict[Key, list[Run]] = defaultdict(list)
    for run in rows:
        by_key[run.key].append(run)
    found = {}
    for key, mine in by_key.items():
        if len({run.model for run in mine}) < 2:
            continue
        held = [log(run.milliwatts / _mean([each for each in mine if each.model != run.model])) for run in mine]
        found[key] = Power(tuple(mine), _mean(mine), tuple(held))
    return found


def _mean(rows: Sequence[Run]) -> float:
    return exp(float(np.mean([log(run.milliwatts) for run in rows])))


def _chain(found: Mapping[Key, Power], bands: Mapping[Key, float]) -> dict[Run, tuple[float, float]]:
    """Energy as a report would have it, neither latency nor power of the network known: µJ and band, by run."""
    with (ROOT / "device_db" / "measurements" / "cpu_latency.csv").open(newline="", encoding="utf-8") as file:
        latencies = [row for row in csv.DictReader(file) if row["held_out_ms"]]
    by_run = {
        (
            row["runtime"],
            row["kernels"],
            row["board"],
            int(row["clock_hz"]),
            row["model"],
            round(float(row["ms"]), 2),
        ): row
        for row in latencies
    }
    chain = {}
    for key, power in found.items():
        runtime, kernels, _, board, clock, _ = key
        for run, error in zip(power.runs, power.held_out, strict=True):
            row = by_run.get((runtime, kernels, board, clock, run.model, round(run.published_ms, 2)))
            if row is not None:
                predicted = float(row["held_out_ms"]) * run.milliwatts / exp(error)
                chain[run] = (predicted, float(row["band"]) * exp(bands[key]))
    return chain


def render(found: Mapping[Key, Power], bands: Mapping[Key, float]) -> str:
    """The TOML file."""
    lines = [_HEADER]
    for key, power in found.items():
        sizes = np.expm1(np.abs(power.held_out))
        runtime, kernels, core, board, clock, supply = key
        lines += [
            "[[powers]]",
            f'runtime = "{runtime}"',
            f'kernels = "{kernels}"',
            f'core = "{core}"',
            f'board = "{board}"',
            f"clock_hz = {clock}",
            f'supply = "{supply}"',
            f"milliwatts = {power.milliwatts:.4g}",
            f"band = {exp(bands[key]):.4g}",
            f"rows = {len(power.runs)}",
            f"models = {len({run.model for run in power.runs})}",
            f"error_median = {np.median(sizes):.4f}",
            f'source = "{"; ".join(dict.fromkeys(run.source for run in power.runs))}"',
            f'software = "{"; ".join(dict.fromkeys(run.software for run in power.runs))}"',
            "",
        ]
    return "\n".join(lines)


def summary(found: Mapping[Key, Power], bands: Mapping[Key, float]) -> str:
    """The energy part of VALIDATION.md."""
    lines = [
        "| runtime | kernels | board | MHz | supply | rows | mW | median | worst | band of the power |",
        "|---|---|---|---:|---|---:|---:|---:|---:|---|",
    ]
    for (runtime, kernels, _, board, clock, supply), power in sorted(found.items()):
        sizes = np.expm1(np.abs(power.held_out))
        band = bands[next(key for key, each in found.items() if each is power)]
        lines.append(
            f"| {runtime} | {kernels} | {board} | {clock / 1e6:g} | {supply} | {len(power.runs)} "
            f"| {power.milliwatts:.1f} | {np.median(sizes):.1%} | {sizes.max():.1%} | x/÷ {exp(band):.2f} |"
        )
    return "\n".join(lines)


def totals(found: Mapping[Key, Power], chain: Mapping[Run, tuple[float, float]]) -> str:
    """Power alone, and energy as reports give it."""
    power = np.expm1(np.abs([error for each in found.values() for error in each.held_out]))
    errors = np.array([log(run.uj / predicted) for run, (predicted, _) in chain.items()])
    inside = np.array([abs(log(run.uj / predicted)) <= log(band) for run, (predicted, band) in chain.items()])
    whole = np.expm1(np.abs(errors))
    return (
        f"- power of a network that was not measured: {len(power)} rows, median {np.median(power):.1%}, "
        f"90 % within {np.quantile(power, 0.9):.0%}\n"
        f"- energy, neither time nor power of the network known: {len(whole)} rows, median {np.median(whole):.1%}, "
        f"90 % within {np.quantile(whole, 0.9):.0%}; the band holds {np.mean(inside):.0%}"
    )


if __name__ == "__main__":
    print(*main(), sep="\n\n")
