"""What the exact rewrites remove from every TFLite CNN of the corpus with 8-bit activations."""

from __future__ import annotations

import time

from benchmarks.table import table, write
from mcuprof.errors import McuprofError
from mcuprof.graph import Graph
from mcuprof.ops.dead import dead_compute
from mcuprof.readers import read
from mcuprof.rewrites import cancel_pairs, fold_padding, prune, remove_unused
from mcuprof.runner import Session
from mcuprof.runner.compare import steps
from mcuprof.runner.inputs import random_inputs
from mcuprof.writers.tflite_model import refusal, to_tflite
from tests.corpus import MODELS, Model, models

INPUTS = 5


def run() -> None:
    """Writes `results/dead.md`; says so where the corpus is absent."""
    graphs = [(entry.name, graph) for entry in models() if (graph := _cnn(entry)) is not None]
    if not graphs:
        print(f"no models at {MODELS}: nothing to rewrite")
        return
    rows = [_row(name, graph) for name, graph in graphs]
    changed = [row for row in rows if row[-1] != "–"]
    same = ", ".join(str(row[0]) for row in rows if row[-1] == "–")
    head = [
        "model",
        "operators",
        "of them PAD",
        "channels",
        "constant",
        "MACs",
        "weights and biases, B",
        "activations, B",
    ]
    head += ["file, B", "analysis, ms", "rewrite, ms", "outputs"]
    title = f"{len(changed)} of {len(rows)} models change (before → after; {INPUTS} random inputs each)"
    print(write("dead", "Dead channels and other exact rewrites", [table(title, head, changed), f"Unchanged: {same}."]))


def _cnn(entry: Model) -> Graph | None:
    """The model when it is meant to be sound, 8-bit, and convolves."""
    if entry.path.suffix != ".tflite" or entry.name.startswith(("bad_", "lfs_")):
        return None
    try:
        graph = read(entry.path)
    except McuprofError:
        return None
    convolves = any(
        op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and graph.input(op).dtype.is_integer
        and graph.input(op).dtype.bits == 8
        for op in graph.ops
    )
    return graph if convolves else None


def _row(name: str, graph: Graph) -> list[object]:
    start = time.process_time()
    dead = dead_compute(graph)
    analysis = 1000 * (time.process_time() - start)
    start = time.process_time()
    smaller, summary = prune(graph)
    rewriting = 1000 * (time.process_time() - start)
    if smaller is graph:
        return [name, "–"]
    folded = remove_unused(fold_padding(remove_unused(cancel_pairs(graph))))
    pads = sum(op.kind == "PAD" for op in graph.ops) - sum(op.kind == "PAD" for op in folded.ops)
    size = "refused: " + why if (why := refusal(smaller)) else f"{graph.origin.nbytes:,} → {len(to_tflite(smaller)):,}"
    return [
        name,
        _change(summary.operators),
        pads,
        _change(summary.channels),
        dead.dead_channels,
        _change(summary.macs),
        _change(summary.constant_bytes),
        _change(summary.activation_bytes),
        size,
        analysis,
        rewriting,
        _judged(graph, smaller),
    ]


def _change(counts: tuple[int, int]) -> str:
    before, after = counts
    if before == after:
        return f"{before:,}"
    return f"{before:,} → {after:,} (−{100 * (before - after) / before:.3g} %)"


def _judged(graph: Graph, smaller: Graph) -> str:
    """Both graphs by mcuprof's kernels."""
    try:
        one, other = Session(graph), Session(smaller)
        for seed in range(INPUTS):
            inputs = random_inputs(graph, seed)
            moved = {new: inputs[old] for old, new in zip(graph.inputs, smaller.inputs, strict=True)}
            ours, theirs = one.run_indexed(inputs).tensors, other.run_indexed(moved).tensors
            pairs = zip(graph.outputs, smaller.outputs, strict=True)
            if any(steps(ours[old], theirs[new]) for old, new in pairs):
                return "DIFFERENT"
    except McuprofError as error:
        return f"not run: {error}"
    return "equal"
