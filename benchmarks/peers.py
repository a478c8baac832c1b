"""Other planners on the same networks: each as its project ships it, or its published method written anew.

 - TFLM greedy: `mcuprof.runtimes.tflm`, equal to the real runtime on every model that it runs.
 - best of greedies: the smallest of our own portfolio, without any search.
 - Vela greedy, Vela hill climb: the allocators of `ethos-u-vela`, called with our lifetimes.
 - tigris: lifetimes and peak of `tigris-ml`; it prints bytes alive and places nothing.
 - tflite-tools: the method of Liberis and Lane (2019) written anew, a memoised recursion over sets of tensors; it
   orders operators by bytes alive, refuses operators with several outputs, and places nothing.

Peers that are not installed are left out (`pip install -e '.[bench]'`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from benchmarks.table import table
from mcuprof.errors import McuprofError
from mcuprof.graph import Graph
from mcuprof.memory import plan
from mcuprof.memory.greedy import portfolio
from mcuprof.memory.layout import build_layout
from mcuprof.memory.liveness import lifetimes
from mcuprof.memory.problem import Problem, build_problem
from mcuprof.ops.sharing import share
from mcuprof.runtimes import find

ALIGNMENT = 16
RECURSION_STATES = 20_000
Peer = Callable[[Graph, Problem], int | None]


def against_peers(networks: Sequence[tuple[str, Graph]], shown: Callable[[str], bool]) -> list[str]:
    """Bytes by each peer without sharing: rows for the networks that `shown` picks, and a summary of all of them."""
    peers = _peers()
    rows: list[list[object]] = []
    over: dict[str, list[float]] = {name: [] for name in peers}
    seconds: dict[str, float] = dict.fromkeys(peers, 0.0)
    for name, network in networks:
        try:
            problem = build_problem(network, "none", sharing=share, alignment=ALIGNMENT)
            ours = [plan(network, order, "none", alignment=ALIGNMENT) for order in ("as-is", "optimal")]
        except McuprofError:
            continue
        found: dict[str, int | None] = {}
        for peer, call in peers.items():
            start = time.perf_counter()
            found[peer] = call(network, problem)
            seconds[peer] += time.perf_counter() - start
            # Those that order are held against our best order, those that do not against the order they were given.
            best = ours[1 if peer == "tflite-tools *" else 0].arena_bytes
            if (size := found[peer]) is not None and best:
                over[peer].append(size / best - 1)
        if shown(name):
            cells = ["–" if found[peer] is None else found[peer] for peer in peers]
            rows.append([name, *(one.arena_bytes for one in ours), *cells])
    head = ["network", "mcuprof, file order", "mcuprof, best order", *peers]
    summary = [
        [peer, len(each), sum(gap > 0 for gap in each), f"{max(each, default=0):.1%}", seconds[peer]]
        for peer, each in over.items()
    ]
    return [
        table("Peers: bytes without sharing (*: bytes alive, nothing is placed)", head, rows),
        table(
            "Peers: how often and how far above mcuprof's plan",
            ["peer", "networks answered", "above", "at most by", "seconds in all"],
            summary,
        ),
    ]


def _peers() -> dict[str, Peer]:
    found: dict[str, Peer] = {"TFLM greedy": _tflm, "best of greedies": _greedies}
    if find_spec("ethosu") is not None:
        found |= {"Vela greedy": _vela_greedy, "Vela hill climb": _vela_hill_climb}
    found["tflite-tools *"] = _tflite_tools
    if find_spec("tigris") is not None:
        found["tigris *"] = _tigris
    return found


def _tflm(network: Graph, problem: Problem) -> int | None:
    """The head; None where it holds more than the main graph's tensors, which is all that the others place."""
    try:
        arena = find("tflm").arena(network, library="reference", core=None)
    except McuprofError:
        return None
    apart = network.subgraphs or any(arena.scratch(len(network.ops)))
    return None if apart else arena.head_bytes


def _spans(problem: Problem) -> list[tuple[int, int, int]]:
    spans = lifetimes(problem, range(len(problem.steps)))
    return [(first, last, buffer.bytes) for buffer, (first, last) in zip(problem.buffers, spans, strict=True)]


def _greedies(network: Graph, problem: Problem) -> int | None:
    layout = build_layout(_spans(problem), {})
    return min(int((offsets + layout.height).max(initial=0)) for offsets in portfolio(layout))


class _Range:
    """What Vela's allocators read of a live range."""

    def __init__(self, first: int, last: int, size: int) -> None:
        self.start_time, self.end_time, self.size = first, last, size
        self.address = 0

    def __lt__(self, other: _Range) -> bool:
        return (self.start_time, self.end_time, self.size) < (other.start_time, other.end_time, other.size)

    def get_alignment(self) -> int:
        return ALIGNMENT

    def set_address(self, address: int) -> int:
        self.address = address
        return address


class _Ranges:
    def __init__(self, problem: Problem) -> None:
        self.lrs = [_Range(*span) for span in _spans(problem)]


def _vela_greedy(network: Graph, problem: Problem) -> int | None:
    from ethosu.vela.greedy_allocation import allocate_live_ranges

    return int(allocate_live_ranges(_Ranges(problem), ALIGNMENT))


def _vela_hill_climb(network: Graph, problem: Problem) -> int | None:
    from ethosu.vela.hillclimb_allocation import allocate_live_ranges

    ranges = _Ranges(problem).lrs
    if not ranges:
        return 0
    addresses = allocate_live_ranges(ranges, None, 1 << 62)
    return max(at + each.size for at, each in zip(addresses, ranges, strict=True))


def _tigris(network: Graph, problem: Problem) -> int | None:
    from onnx import TensorProto
    from tigris.analysis.lifetime import compute_lifetimes
    from tigris.analysis.memory import compute_memory_timeline
    from tigris.graph.ir import AnalyzedGraph, OpNode, TensorInfo

    def name(tensor: int) -> str:
        return "" if tensor < 0 else str(tensor)

    graph: Any = AnalyzedGraph()
    for index, tensor in enumerate(network.tensors):
        kept_out = tensor.is_constant or tensor.variable
        graph.tensors[name(index)] = TensorInfo(name(index), (tensor.nbytes,), TensorProto.INT8, kept_out)
    graph.ops = [
        OpNode(str(number), op.kind, [name(t) for t in op.inputs], [name(t) for t in op.outputs], step=number)
        for number, op in enumerate(network.ops)
    ]
    graph.model_inputs, graph.model_outputs = [*map(name, network.inputs)], [*map(name, network.outputs)]
    graph.tensor_alignment = ALIGNMENT
    return int(compute_memory_timeline(compute_lifetimes(graph), capture_live_tensors=False).peak_memory_bytes)


class _TooManyError(Exception):
    """The recursion is exponential."""


def _tflite_tools(network: Graph, problem: Problem) -> int | None:
    """Backwards from the outputs: of the tensors to be had, one is made last; what it is made from must be had then."""
    if any(len(op.outputs) > 1 for op in network.ops):
        return None
    size = [buffer.bytes for buffer in problem.buffers]
    maker = {buffer: step for step in problem.steps[1:] for buffer in step.outputs}
    ancestors: dict[int, set[int]] = {}
    for step in problem.steps:
        for output in step.outputs:
            ancestors[output] = {*step.inputs}.union(*(ancestors[source] for source in step.inputs))
    states = 0

    @cache
    def least(wanted: frozenset[int]) -> int:
        nonlocal states
        states += 1
        if states > RECURSION_STATES:
            raise _TooManyError
        held = sum(size[buffer] for buffer in wanted)
        made = [buffer for buffer in wanted if buffer in maker]
        if not made:
            return held
        best = None
        for last in made:
            rest = wanted - {last}
            inputs = frozenset(maker[last].inputs)
            if any(last in ancestors[other] for other in rest):
                continue  # it would have to be computed twice
            during = rest | inputs | {last}
            found = max(sum(size[buffer] for buffer in during), least(rest | inputs))
            best = found if best is None else min(best, found)
        return held if best is None else best

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 10 * len(problem.steps) + 1000))
    try:
        return least(frozenset(number for number, buffer in enumerate(problem.buffers) if buffer.leaves))
    except _TooManyError:
        return None
    finally:
        sys.setrecursionlimit(limit)
