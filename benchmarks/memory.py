"""The memory room: heads of MLPerf Tiny, orders of irregular networks, MiniMalloc's instances, speed.

The shared corpus is read where it is (`tests/corpus.py`); without it only the irregular networks run.
"""

from __future__ import annotations

import csv
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

from benchmarks.graphs import NETWORKS
from benchmarks.peers import against_peers
from benchmarks.table import table, write
from mcuprof.errors import McuprofError
from mcuprof.graph import Graph
from mcuprof.memory import MemoryPlan, exact, place, strategies
from mcuprof.memory.effort import Limit
from mcuprof.memory.liveness import peak
from mcuprof.memory.order import best_order
from mcuprof.memory.problem import build_problem
from mcuprof.ops.sharing import STRATEGIES, share
from mcuprof.readers import read
from tests.corpus import DATA, models
from tests.memory.brute import least_peak, random_instance

T = TypeVar("T")
SEARCH_SECONDS = 15.0
PLACE_SECONDS = 60.0
RANDOM_GRAPHS = 5_000
MCU_OPERATORS = 200


def run() -> None:
    """Runs all parts and writes `results/memory.md`."""
    parts = [irregular(), random_graphs()]
    if models():
        parts = [mlperf_tiny(), *peers(), *parts, minimalloc(), *corpus()]
    print(write("memory", "Memory engine", parts))


def mlperf_tiny() -> str:
    """Head bytes per strategy, file order and best order."""
    rows = []
    for entry in models():
        if entry.name.startswith("mlperf_") and "int8" in entry.row["quantization"] and entry.path.suffix == ".tflite":
            for order, plans in _by_order(read(entry.path)).items():
                marks = {"bound": "b", "search": "s"}
                cells = [f"{p.arena_bytes:,} {marks[p.proof] if p.optimal else p.certificate}" for p in plans]
                rows.append([entry.name, order, *cells])
    title = "MLPerf Tiny: head bytes (b, s: proven optimal by bound, by search)"
    return table(title, ["model", "order", *STRATEGIES], rows)


def peers() -> list[str]:
    """Other planners on MLPerf Tiny, the smaller irregular networks, and every corpus model of MCU size."""
    networks = []
    for entry in models():
        try:
            network = read(entry.path)
        except McuprofError:
            continue
        if len(network.ops) <= MCU_OPERATORS and not entry.name.startswith("bad_"):
            networks.append((entry.name, network))
    built = [(name, network) for name, build in NETWORKS.items() if len((network := build()).ops) <= MCU_OPERATORS]
    names = {name for name, _ in built}
    return against_peers([*networks, *built], lambda name: name in names or name.startswith("mlperf_"))


def irregular() -> str:
    """Order search: peak live bytes, no sharing."""
    rows = []
    for name, build in NETWORKS.items():
        problem = build_problem(build(), "none", sharing=share)
        seconds, found = _timed(best_order, problem, Limit(SEARCH_SECONDS).start())
        proof = f"optimal: {found.proof}" if found.peak == found.bound else f"gap {found.peak / found.bound - 1:.1%}"
        given = peak(problem, range(len(problem.steps)))
        rows.append([name, len(problem.steps) - 1, given, found.peak, found.bound, proof, found.states, seconds])
    head = ["network", "operators", "given order", "best order", "bound", "certificate", "states", "seconds"]
    return table(f"Irregular networks: least peak over all orders, {SEARCH_SECONDS:g} s each", head, rows)


def random_graphs() -> str:
    """Orders of random graphs of up to 12 operators against exhaustion."""
    wrong = 0
    for seed in range(RANDOM_GRAPHS):
        rng = random.Random(seed)
        case = random_instance(rng, rng.randint(1, 12), shares=bool(seed & 1), scratch=bool(seed & 2))
        problem = build_problem(case.graph, "overlap", sharing=case.sharing, scratch=case.scratch)
        found = best_order(problem)
        wrong += not found.peak == found.bound == least_peak(case)
    return table("Random graphs against exhaustion", ["graphs", "mismatches"], [[RANDOM_GRAPHS, wrong]])


def minimalloc() -> str:
    """MiniMalloc's instances: is the capacity of 1,048,576 reached?"""
    rows = []
    for path in sorted((DATA / "minimalloc").glob("?.1048576.csv")):
        with path.open() as handle:
            items = [(int(r["lower"]), int(r["upper"]) - 1, int(r["size"])) for r in csv.DictReader(handle)]
        seconds, found = _timed(place, items, 1 << 20, budget=Limit(PLACE_SECONDS).start())
        rows.append([path.name[0], len(items), found.bytes, found.bound, found.bytes <= 1 << 20, found.nodes, seconds])
    head = ["instance", "buffers", "bytes", "bound", "solved", "nodes", "seconds"]
    solver = "own search, then CP-SAT" if exact.available() else "own search, without the extra"
    return table(f"MiniMalloc instances at 1,048,576 bytes, {PLACE_SECONDS:g} s each: {solver}", head, rows)


def corpus() -> Iterator[str]:
    """The whole table of orders and strategies for every model of the corpus that can be read."""
    seconds: list[float] = []
    certified: Counter[tuple[str, str]] = Counter()
    small = 0
    for entry in models():
        try:
            network = read(entry.path)
            spent, plans = _timed(strategies, network)
        except McuprofError:
            continue
        seconds.append(spent)
        if len(network.ops) <= MCU_OPERATORS:
            small += 1
            certified.update((plan.schedule, plan.strategy) for plan in plans if plan.optimal)
    rows = [[order, *(certified[order, s] / small for s in STRATEGIES)] for order in ("as-is", "optimal")]
    yield table(
        f"Share of plans certified optimal, {small} corpus models of up to {MCU_OPERATORS} operators",
        ["order", *STRATEGIES],
        rows,
    )
    seconds.sort()
    times = [len(seconds), seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.95)], seconds[-1]]
    yield table("Strategies table: seconds per model", ["models", "median", "95th percentile", "slowest"], [times])


def _by_order(network: Graph) -> dict[str, list[MemoryPlan]]:
    plans = strategies(network)
    return {order: [plan for plan in plans if plan.schedule == order] for order in ("as-is", "optimal")}


def _timed(call: Callable[..., T], *arguments: object, **options: object) -> tuple[float, T]:
    start = time.perf_counter()
    found = call(*arguments, **options)
    return time.perf_counter() - start, found
