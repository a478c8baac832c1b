"""Arena of every 8-bit TFLite CNN of the corpus that TFLM runs: today, best plan, best splits, all proven by execution.

Reference kernels on a 32-bit Arm target, plans without overlap: they hold for any kernels that need no more scratch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import median, quantiles

from benchmarks.dead import _cnn
from benchmarks.table import table, write
from mcuprof.errors import McuprofError
from mcuprof.graph import Graph
from mcuprof.ops import total_macs
from mcuprof.planning import Firmware, Wishes
from mcuprof.planning.choice import best as planned
from mcuprof.planning.choice import candidates
from mcuprof.planning.orchestrate import refuse
from mcuprof.planning.rewriting import rewritten
from mcuprof.planning.split_orchestrate import prove_split
from mcuprof.planning.splitting import Point, Splitter, front_points, written
from mcuprof.progress import silent
from mcuprof.rewrites import remove_unused, simplify
from tests.corpus import MODELS, models

INPUTS = 20
LARGE = 100_000_000  # MACs beyond which fewer inputs must do
FIRMWARE = Firmware("reference")
WISHES = Wishes("as-is", "none")


@dataclass(frozen=True, slots=True)
class Row:
    """One model; bytes are what `arena_used_bytes` reports, seconds are of the search alone (CPU)."""

    name: str
    today: int
    plan: int
    five: Point | None
    ten: Point | None
    least: Point | None
    macs: Point | None  # at most 10 % more MACs, whatever is copied
    seconds: float
    judged: str


def run() -> None:
    """Writes `results/split.md` anew after every model; says so where the corpus is absent."""
    entries = [(entry.name, graph, entry.path.read_bytes()) for entry in models() if (graph := _cnn(entry)) is not None]
    if not entries:
        print(f"no models at {MODELS}: nothing to split")
        return
    rows: list[Row] = []
    skipped: list[str] = []
    for name, graph, data in sorted(entries, key=lambda entry: total_macs(entry[1])):
        try:
            refuse(graph, FIRMWARE.arena(graph), FIRMWARE)
            rows.append(_row(name, graph, data))
            print(name, rows[-1].today, rows[-1].plan, rows[-1].judged, f"{rows[-1].seconds:.1f} s", flush=True)
        except McuprofError as error:
            skipped.append(f"{name} ({error})")
        path = _write(rows, skipped)
    print(path)


def quantized_input(graph: Graph) -> Graph:
    """The graph without a leading QUANTIZE of its float input: the application quantizes."""
    first = graph.ops[0]
    if first.kind != "QUANTIZE" or graph.inputs != first.inputs or graph.consumers[first.inputs[0]] != (0,):
        return graph
    return remove_unused(replace(graph, ops=graph.ops[1:], inputs=first.outputs))


def _row(name: str, graph: Graph, data: bytes) -> Row:
    shorter = quantized_input(graph)
    if shorter is not graph:
        graph, data = rewritten(shorter)
        name = f"{name}, 8-bit input"
    today = FIRMWARE.arena(graph).arena_bytes
    start = time.process_time()
    base = simplify(graph)
    base, base_data = (graph, data) if base is graph else rewritten(base)
    splitter = Splitter(base, FIRMWARE, WISHES, silent, total_macs(graph))
    front = front_points(splitter)
    seconds = time.process_time() - start
    plan = min(planned(candidates(graph, data, FIRMWARE, WISHES)).arena.arena_bytes, today)
    best = []
    given = total_macs(graph)
    for limit, spent in ((0.05, False), (0.1, False), (None, False), (0.1, True)):
        within = [p for p in front if limit is None or (_macs(p, given) if spent else p.work) <= limit]
        point = min(within, key=lambda p: p.arena.arena_bytes)
        best.append(point if point.arena.arena_bytes < today and point.choice.options else None)
    inputs = INPUTS if given < LARGE else 3
    judged = []
    judging = best if given < LARGE else best[1:2]
    for point in dict.fromkeys(point for point in judging if point is not None):
        steps = prove_split((graph, data), (base, base_data), point, written(point), FIRMWARE, silent, inputs)
        judged.append(all(step.executed for step in steps if "executed by" in step.text or "not executed" in step.text))
    verdict = "–" if not judged else f"equal, {inputs} inputs" if all(judged) else "NOT EXECUTED"
    return Row(name, today, plan, *best, seconds, verdict)


def _macs(point: Point, given: int) -> float:
    return total_macs(point.split.graph) / max(1, given) - 1


def _write(rows: list[Row], skipped: list[str]) -> object:
    head = ["model", "today, B", "best plan, B", "split ≤ 5 % work, B", "split ≤ 10 %, B", "smallest, B"]
    head += ["stripes (≤ 10 %)", "search, CPU s", "TFLM on both"]
    cells = [
        [
            row.name,
            row.today,
            row.plan,
            *(_cell(row, point) for point in (row.five, row.ten, row.least)),
            _stripes(row.ten),
            row.seconds,
            row.judged,
        ]
        for row in rows
    ]
    gains = [1 - row.ten.arena.arena_bytes / row.today for row in rows if row.ten is not None]
    counted = [1 - row.macs.arena.arena_bytes / row.today for row in rows if row.macs is not None]
    seconds = sorted(row.seconds for row in rows)
    notes = [
        f"{len(gains)} of {len(rows)} models gain at ≤ 10 % work, median {100 * median(gains):.0f} %."
        if gains
        else "No model gains.",
        f"{len(counted)} gain at ≤ 10 % more MACs with copies not counted, median {100 * median(counted):.0f} %."
        if counted
        else "",
        f"Search (CPU): median {median(seconds):.1f} s, 95 % under {quantiles(seconds, n=20)[-1]:.1f} s, "
        f"worst {seconds[-1]:.1f} s."
        if len(seconds) > 1
        else "",
        "Stripes: operators × stripes of rows; c: channel groups. "
        "Work is MACs, and 8 for each byte that SLICE copies or that channels are joined of, against the MACs of the "
        "model as given; below 0 where simplifying took away more than stripes add. The splits include what the exact "
        "rewrites remove "
        "(results/dead.md). A model whose float input is quantized first is taken without that QUANTIZE: the "
        f"application quantizes. Beyond {LARGE:,} MACs only the split at ≤ 10 % was run.",
        f"Not tried: {'; '.join(skipped)}." if skipped else "",
    ]
    title = "Arena of 8-bit CNNs under TFLM, split into stripes"
    return write("split", title, [table("Total arena, reference kernels, 32-bit", head, cells), *notes])


def _cell(row: Row, point: Point | None) -> str:
    if point is None:
        return "do not split"
    arena = point.arena.arena_bytes
    return f"{arena:,} (−{100 * (row.today - arena) / row.today:.0f} %; {100 * point.work:.1f} %)"


def _stripes(point: Point | None) -> str:
    options = point.choice.options if point else ()
    return ", ".join(f"{o.region.first}-{o.region.last}×{o.stripes}{'c' if o.channels else ''}" for o in options) or "–"
