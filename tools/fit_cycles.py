"""Writes cycles per instruction, with bands, to `device_db/kernels/cycles.toml`, and the measurements they come from.

Run by tools/fit.py, after fit_kernels.

cycles = cpi · (instructions + e · operators). `cpi` is fitted per core and kernel set. `e`, what starting an operator
costs beyond its instructions (cold caches and prefetch), needs networks of all sizes: it is fitted on the Cortex-M4
and used for the other cores, except where a core's own fit predicts its held-out models better.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, log

import numpy as np
from tables import ROOT, SHARED, layer_graph, table

from mcuprof.cost.laws import instructions
from mcuprof.graph import Graph
from mcuprof.readers import read

_MLPERF = {
    "ad": "mlperf_ad01_int8.tflite",
    "kws": "mlperf_kws_int8.tflite",
    "ic": "mlperf_ic_resnet8_int8.tflite",
    "vww": "mlperf_vww_mbv1_int8.tflite",
}
_EDGEMARK = {"TinyMLPerf_AE": "ad", "TinyMLPerf_DS_CNN": "kws", "TinyMLPerf_ResNet": "ic", "TinyMLPerf_MBNet": "vww"}
# (round, submitter, board in the table) → (core, device id, build). Current CMSIS-NN kernels only: TFLM 2.3.1 (v0.5)
# has older ones, Skymizer's are the legacy q7 kernels, Krai and cTuning repeat OctoML's binaries.
_SUBMISSIONS = {
    ("v1.0", "OctoML", "NUCLEO-L4R5ZI"): ("cortex-m4", "stm32l4r5zi", "microTVM + CMSIS-NN"),
    ("v1.0", "OctoML", "nRF5340 DK"): ("cortex-m33", "nrf5340", "microTVM + CMSIS-NN"),
    ("v1.2", "Renesas", "EK-RA8D1"): ("cortex-m85", "ra8d1", "TFLM + CMSIS-NN"),
}
# The part's maximum; its source prints none.
_TINYENGINE_HZ = 480_000_000
_TINYENGINE_FILES = {"mcunet-vww1": "file:mit-han-lab/tinyengine:assets/vww.tflite"}
_COVERAGE = 0.9
_COLUMNS = (
    *("core", "kernels", "board", "build", "model", "variant", "clock_hz", "ms", "instructions", "operators", "source"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One published latency. `model` is the group that is held out together; `instructions` are modelled."""

    core: str
    board: str
    build: str
    model: str
    variant: str
    clock_hz: int
    ms: float
    instructions: int
    operators: int
    source: str

    @property
    def cycles(self) -> float:
        """Measured cycles at the stated clock."""
        return self.ms * self.clock_hz / 1000


@dataclass(frozen=True, slots=True)
class Anchor:
    """Fit of one core: logarithmic errors of held-out models, and the band for the measured board."""

    cpi: float
    extra: float
    errors: tuple[float, ...]
    band: float
    covered: float


def measurements() -> list[Measured]:
    """All usable rows: TFLM or microTVM with current CMSIS-NN, a network whose every operator has a cost law."""
    found = [*_mlperf(), *_edgemark(), *_tinyengine()]
    return sorted(found, key=lambda row: (row.core, row.board, row.build, row.model, row.variant))


def _mlperf() -> Iterable[Measured]:
    for row in table("mlperf_tiny.csv"):
        place = _SUBMISSIONS.get((row["round"], row["submitter"], row["board"]))
        wanted = row["benchmark"] in _MLPERF and row["precision"] == "int8" and "CMSIS-NN" in row["framework"]
        if place and wanted and row["division"] == "closed":
            graph = read(SHARED / "models" / _MLPERF[row["benchmark"]])
            source = f"MLPerf Tiny {row['round']} {row['submitter']}"
            clock = int(float(row["clock_mhz"]) * 1e6)
            yield from _row(graph, *place, row["benchmark"], "int8", clock, float(row["latency_ms"]), source)


def _edgemark() -> Iterable[Measured]:
    variants = {"int8": "int8", "int8 (float32 I/O)": "int8f"}
    for row in table("measured.csv"):
        ours = row["source"] == "Black3rror/EdgeMark" and row["core"] == "Cortex-M4" and "CMSIS-NN" in row["runtime"]
        if not ours or row["precision"] not in variants or "; -O3, FPU;" not in f"; {row['note'].split('; ', 1)[1]}":
            continue
        variant, name = variants[row["precision"]], row["model"]
        known = _EDGEMARK.get(name)
        graph = read(SHARED / "models" / _MLPERF[known]) if known else layer_graph(f"edgemark:{name}:{variant}")
        place = ("cortex-m4", "stm32l4r5zi", "EdgeMark TFLM + CMSIS-NN")
        clock = int(float(row["clock_mhz"]) * 1e6)
        if graph is not None:
            yield from _row(graph, *place, known or name, variant, clock, float(row["latency_ms"]), "EdgeMark")


def _tinyengine() -> Iterable[Measured]:
    for row in table("measured.csv"):
        if row["source"] != "mit-han-lab/tinyengine" or "CMSIS-NN" not in row["runtime"] or not row["latency_ms"]:
            continue
        name = row["model"]
        graph = layer_graph(_TINYENGINE_FILES.get(name, f"mcunet:{name}"))
        place = ("cortex-m7", "stm32h743zi", "TFLM + CMSIS-NN 011bf32")
        if graph is not None:
            yield from _row(graph, *place, name, "int8", _TINYENGINE_HZ, float(row["latency_ms"]), "TinyEngine README")


def _row(
    graph: Graph, core: str, board: str, build: str, model: str, variant: str, clock: int, ms: float, source: str
) -> Iterable[Measured]:
    counted = instructions(graph, core, "cmsis-nn")
    if isinstance(counted, int):
        yield Measured(core, board, build, model, variant, clock, ms, counted, len(graph.ops), source)


def fit_cpi(rows: Sequence[Measured], extra: float) -> float:
    """Geometric mean over models of measured cycles per (instruction + extra per operator)."""
    by_model: dict[str, list[float]] = {}
    for row in rows:
        by_model.setdefault(row.model, []).append(log(row.cycles / (row.instructions + extra * row.operators)))
    return exp(float(np.mean([np.mean(values) for values in by_model.values()])))


def fit_extra(rows: Sequence[Measured]) -> float:
    """The `e` with the least squared logarithmic error."""
    grid = (*range(0, 2000, 25), *range(2000, 20001, 500))
    return float(min(grid, key=lambda extra: sum(error**2 for error in _errors(rows, fit_cpi(rows, extra), extra))))


def _errors(rows: Sequence[Measured], cpi: float, extra: float) -> list[float]:
    return [log(row.cycles / (cpi * (row.instructions + extra * row.operators))) for row in rows]


def held_out(rows: Sequence[Measured], extra: float | None) -> list[float]:
    """ln(measured / predicted) of every row, each model predicted without itself; `extra` None refits it too."""
    errors: list[float] = []
    for model in sorted({row.model for row in rows}):
        rest = [row for row in rows if row.model != model]
        e = fit_extra(rest) if extra is None else extra
        errors += _errors([row for row in rows if row.model == model], fit_cpi(rest, e), e)
    return errors


def band(errors: Sequence[float], least: float) -> float:
    """Half-width in ln such that a new row is inside with 90 % (split-conformal rank), from held-out errors.

    With fewer than nine errors that rank does not exist: then it is the worst error times 1.5, and at least `least`.
    """
    sizes = sorted(abs(error) for error in errors)
    rank = ceil((len(sizes) + 1) * _COVERAGE)
    return sizes[rank - 1] if rank <= len(sizes) else max(least, 1.5 * sizes[-1])


def anchor(rows: Sequence[Measured], extra: float, least: float) -> Anchor:
    """The fit of one core and how often its band, made without the model in question, held that model."""
    given, own = held_out(rows, extra), held_out(rows, None)
    refit = np.mean(np.abs(own)) < 0.9 * np.mean(np.abs(given)) or extra == fit_extra(rows)
    hits = []
    for model in sorted({row.model for row in rows}):
        rest = [row for row in rows if row.model != model]
        e = fit_extra(rest) if refit else extra
        if len({row.model for row in rest}) > 1:
            width = band(held_out(rest, None if refit else extra), least)
            mine = [row for row in rows if row.model == model]
            hits += [abs(error) <= width for error in _errors(mine, fit_cpi(rest, e), e)]
    errors = own if refit else given
    e = fit_extra(rows) if refit else extra
    return Anchor(fit_cpi(rows, e), e, tuple(errors), band(errors, least), float(np.mean(hits)))


def other_board(rows: Sequence[Measured], extra: float) -> float:
    """|ln| error of a board predicted from another one of the same class: Cortex-M4 L4R5 and Cortex-M33 nRF5340."""
    a = [row for row in rows if row.core == "cortex-m4"]
    b = [row for row in rows if row.core == "cortex-m33"]
    return abs(log(fit_cpi(a, extra) / fit_cpi(b, extra)))


_HEADER = """\
# Cycles per instruction, from published latencies. Written by tools/fit_cycles.py; do not edit.
# cycles = cpi x (instructions + instructions_per_operator x operators).
# The band is a factor: measured / predicted of models that the fit had not seen lies in [1/band, band] (90 %). With
# fewer than nine rows it is the worst held-out error times 1.5, and at least the band of the Cortex-M4.
# band_elsewhere is for boards (and clocks) that were not measured: band x the error of predicting one board from
# another. `boards` are the measured ones with their clock.
"""

_NOTES = {
    "cortex-m4": "EdgeMark and OctoML on one board; flash at 5 wait states",
    "cortex-m33": "one board, four models; flash cache on",
    "cortex-m7": "the source prints no clock: 480 MHz, the part's maximum, is assumed, so cycles may be too high",
    "cortex-m85": "one board, four models; instructions are those counted on Cortex-M55, which runs the same code",
}


def render(anchors: Mapping[str, Anchor], rows: Sequence[Measured], elsewhere: float) -> str:
    """The TOML file."""
    lines = [_HEADER]
    for core, found in anchors.items():
        mine = [row for row in rows if row.core == core]
        boards = ", ".join(f"{board} = {clock}" for board, clock in sorted({(row.board, row.clock_hz) for row in mine}))
        sizes = [abs(error) for error in found.errors]
        lines += [
            "[[anchors]]",
            f'core = "{core}"',
            'kernels = "cmsis-nn"',
            f"boards = {{ {boards} }}",
            f"cpi = {found.cpi:.4g}",
            f"instructions_per_operator = {found.extra:.6g}",
            f"band = {exp(found.band):.4g}",
            f"band_elsewhere = {exp(found.band + elsewhere):.4g}",
            f"rows = {len(mine)}",
            f"models = {len({row.model for row in mine})}",
            f"error_median = {np.expm1(np.median(sizes)):.4f}",
            f"error_worst = {np.expm1(max(sizes)):.4f}",
            f'source = "{"; ".join(sorted({row.source for row in mine}))}"',
            f'note = "{_NOTES[core]}"',
            "",
        ]
    return "\n".join(lines)


def summary(anchors: Mapping[str, Anchor], rows: Sequence[Measured], elsewhere: float) -> str:
    """The latency part of VALIDATION.md."""
    lines = [
        "| core | kernels | rows | models | cpi | e | median | 90 % | worst | band | held-out rows inside |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|---:|",
    ]
    for core, found in anchors.items():
        mine = [row for row in rows if row.core == core]
        sizes = np.expm1(np.abs(found.errors))
        lines.append(
            f"| {core} | cmsis-nn | {len(mine)} | {len({row.model for row in mine})} | {found.cpi:.3f} "
            f"| {found.extra:.0f} | {np.median(sizes):.1%} | {np.quantile(sizes, 0.9):.1%} | {sizes.max():.1%} "
            f"| x/÷ {exp(found.band):.2f} (elsewhere {exp(found.band + elsewhere):.2f}) | {found.covered:.0%} |"
        )
    return "\n".join(lines)


def main() -> str:
    """Fit, validate and write; returns the table for VALIDATION.md."""
    rows = measurements()
    many = [row for row in rows if row.core == "cortex-m4"]  # the one core with enough models to say how they vary
    extra, least = fit_extra(many), band(held_out(many, None), 0.0)
    anchors = {}
    for core in sorted({row.core for row in rows}):
        anchors[core] = anchor([row for row in rows if row.core == core], extra, least)
    elsewhere = other_board(rows, extra)
    text = render(anchors, rows, elsewhere)
    (ROOT / "device_db" / "kernels" / "cycles.toml").write_text(text, encoding="utf-8")
    folder = ROOT / "device_db" / "measurements"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cpu_latency.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for row in rows:
            left = (row.core, "cmsis-nn", row.board, row.build, row.model, row.variant, row.clock_hz, row.ms)
            writer.writerow((*left, row.instructions, row.operators, row.source))
    return summary(anchors, rows, elsewhere)
