"""Is the graph within the limits? Counted without recursion, whatever the file nests."""

from __future__ import annotations

from collections.abc import Iterator

from mcuprof.errors import ModelError
from mcuprof.graph import Graph, Op
from mcuprof.limits import ReadLimits, check_limit


def check_graph(graph: Graph, limits: ReadLimits) -> None:
    """Raises ModelError when the graph is larger than `limits`, or its subgraphs call each other in a circle."""
    graphs = (graph, *graph.subgraphs)
    tensors, operators = sum(len(g.tensors) for g in graphs), sum(len(g.ops) for g in graphs)
    check_limit(limits, "tensors", tensors, f"has {tensors:,} tensors")
    check_limit(limits, "operators", operators, f"has {operators:,} operators")
    computed = 0
    for g in graphs:
        for tensor in g.tensors:
            if tensor.nbytes > limits.tensor:
                what = f"tensor {tensor.name!r} declares {tensor.nbytes:,} bytes"
                check_limit(limits, "tensor", tensor.nbytes, what)
            computed += 0 if tensor.is_constant else tensor.nbytes
    check_limit(limits, "activations", computed, f"declares {computed:,} bytes of activations")
    _check_calls(graphs, limits)


def check_execution(graph: Graph, limits: ReadLimits) -> None:
    """Raises ModelError when executing the graph would take more memory, and so more time, than `limits` allow."""
    computed = sum(t.nbytes for g in (graph, *graph.subgraphs) for t in g.tensors if not t.is_constant)
    check_limit(limits, "executed", computed, f"computes {computed:,} bytes, too much to be executed here")


def called_subgraphs(op: Op) -> Iterator[int]:
    """The subgraphs that an operator runs, by number in the file."""
    for name, value in op.attributes.items():
        if name.endswith("_subgraph") and isinstance(value, int):
            yield value


def _check_calls(graphs: tuple[Graph, ...], limits: ReadLimits) -> None:
    """Operators run and depth reached, per subgraph, callees first."""
    called = [tuple(number for op in g.ops for number in called_subgraphs(op)) for g in graphs]
    run: dict[int, int] = {}
    depth: dict[int, int] = {}
    for start in range(len(graphs)):
        stack = [start]
        open_calls: set[int] = set()
        while stack:
            number = stack[-1]
            waiting = [callee for callee in dict.fromkeys(called[number]) if callee not in run]
            if number not in run and waiting:
                if number in open_calls:
                    raise ModelError(f"subgraph {number} calls itself")
                open_calls.add(number)
                if any(callee in open_calls for callee in waiting):
                    raise ModelError(f"subgraph {waiting[0]} calls itself")
                stack += waiting
                continue
            stack.pop()
            open_calls.discard(number)
            if number not in run:
                run[number] = len(graphs[number].ops) + sum(run[callee] for callee in called[number])
                depth[number] = 1 + max((depth[callee] for callee in called[number]), default=-1)
    check_limit(limits, "nesting", depth[0], f"nests subgraphs {depth[0]:,} deep")
    check_limit(limits, "calls", run[0], f"runs {run[0]:,} operators, those of subgraphs counted at every call")
