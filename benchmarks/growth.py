"""How time and memory grow with the number of operators and tensors: read, analyse, plan.

Three shapes of network: a chain of depthwise-separable blocks, a chain of blocks with a skip connection each, and many
branches that all stay alive until one operator joins them (as many live tensors as operators). Each size runs in a
process of its own. `exponent` is the slope between the last two sizes in a log-log plot: 1 is linear.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.table import table, write
from mcuprof.graph import Graph, Origin
from mcuprof.memory.effort import Limit
from mcuprof.search import Builder, Layer
from mcuprof.search.layers import add, average_pool, concat, conv, depthwise

SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000)
SEARCH_SECONDS = 5.0
PATIENCE = 4.0  # a step that took longer is not tried on more operators
STEPS = ("read", "analyze", "analyze with detail", "plan as-is", "plan optimal")
DOCS = Path(__file__).resolve().parents[1] / "docs"


def run() -> None:
    """Writes `results/growth.md` and `docs/growth.svg`."""
    parts = []
    curves: dict[str, list[list[float]]] = {}
    for name in SHAPES:
        rows = []
        for size in SIZES:
            slow = [bool(rows) and not rows[-1][2 + at] <= PATIENCE for at in range(len(STEPS))]
            rows.append([size, *_alone(name, size, slow)])
            print(name, rows[-1], flush=True)
        slopes = ["exponent", "", *(_slope(rows, column) for column in range(2, len(rows[0])))]
        head = ["operators", "tensors", *(f"{step}, s" for step in STEPS), "peak MiB above start"]
        parts.append(table(f"{name}: CPU seconds", head, [*rows, slopes]))
        curves[name] = rows
    _draw(curves)
    limit = f"`plan optimal` searches for at most {SEARCH_SECONDS:g} s, checks and bounds come on top.\n"
    print(write("growth", "Growth", [limit, *parts]))


def _draw(curves: dict[str, list[list[float]]]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "mcuprof", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(10, 3.4), sharey=True, layout="constrained")
    for axis, (name, rows) in zip(axes, curves.items(), strict=True):
        sizes = [row[0] for row in rows]
        for at, step in enumerate(STEPS):
            axis.loglog(sizes, [row[2 + at] for row in rows], marker="o", markersize=3, label=step)
        axis.loglog(sizes, [1e-4 * size / sizes[0] for size in sizes], "k:", linewidth=1, label="linear")
        axis.set(title=name, xlabel="operators")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("CPU seconds")
    axes[-1].legend(fontsize=7)
    figure.savefig(DOCS / "growth.svg", metadata={"Date": None})


def _slope(rows: list[list[float]], column: int) -> str:
    before, last = rows[-2], rows[-1]
    if not (before[column] > 0 and last[column] > 0):
        return ""
    return f"{math.log(last[column] / before[column]) / math.log(last[0] / before[0]):.2f}"


def _alone(name: str, size: int, slow: list[bool]) -> list[float]:
    """Tensors, seconds of every step, MiB: by a process that ends afterwards."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(name, size, slow, theirs))
    process.start()
    theirs.close()
    found: list[float] = ours.recv()
    process.join()
    return found


def _measure(name: str, size: int, slow: list[bool], line: object) -> None:
    import mcuprof
    from mcuprof import memory
    from mcuprof.analysis import Options
    from mcuprof.writers.tflite_model import to_tflite

    graph = SHAPES[name](size)
    device = mcuprof.device("nucleo-l4r5zi")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tflite"
        path.write_bytes(to_tflite(graph))
        mcuprof.analyze(SHAPES[name](10), device, Options(detail=True))  # imports and data
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times: list[float] = []

        def timed(call: Callable[[], object]) -> object:
            if slow[len(times)]:
                times.append(math.nan)
                return None
            start = time.process_time()
            found = call()
            times.append(time.process_time() - start)
            return found

        read = timed(lambda: mcuprof.load(path))
        timed(lambda: mcuprof.analyze(read, device))
        timed(lambda: mcuprof.analyze(read, device, Options(detail=True)))
        timed(lambda: memory.plan(read, "as-is", "none", limit=Limit(SEARCH_SECONDS)))
        timed(lambda: memory.plan(read, "optimal", "none", limit=Limit(SEARCH_SECONDS)))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line.send([len(graph.tensors), *times, (after - before) / 1024])  # type: ignore[attr-defined]


def _graph(layers: list[Layer]) -> Graph:
    return with_contents(Builder().graph(layers, (16, 16, 8)))


def with_contents(graph: Graph) -> Graph:
    """Zeros for the weights, which descriptions leave out."""
    tensors = tuple(
        replace(tensor, name=f"{tensor.name}_{at}", data=memoryview(bytes(tensor.nbytes)))
        if tensor.is_constant and len(tensor.data or b"") < tensor.nbytes
        else replace(tensor, name=f"{tensor.name}_{at}")
        for at, tensor in enumerate(graph.tensors)
    )
    return replace(graph, tensors=tensors, origin=Origin())


def chain(size: int) -> Graph:
    """Depthwise and pointwise convolutions in turn."""
    return _graph([depthwise() if at % 2 else conv(8 + 8 * (at // 2 % 2), 1) for at in range(size)])


def residual(size: int) -> Graph:
    """Blocks of two convolutions and a sum."""
    block = [conv(8, 1), conv(8, 1), add(-1, -3)]
    return _graph([block[at % 3] for at in range(size)])


def branches(size: int) -> Graph:
    """Convolutions of the same input, joined by one operator at the end."""
    layers = [conv(4, 1)._replace(inputs=(-1 - at,)) for at in range(size - 2)]
    return _graph([*layers, concat(*range(-len(layers), 0)), average_pool(2)])


SHAPES: dict[str, Callable[[int], Graph]] = {"chain": chain, "residual": residual, "branches": branches}
