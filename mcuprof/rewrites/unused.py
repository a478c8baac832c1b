"""Removes what no output of the graph depends on.

1. An operator stays when an output of it leads to an output of the graph, or when it has effects beyond its outputs: it
   reads or writes state (variable tensors, resources), calls another subgraph, or has no outputs.
2. A tensor stays when an operator that stays names it, or when it enters or leaves the graph. Inputs and outputs of the
   graph stay in number and order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mcuprof.graph import ABSENT, DType, Graph, Op
from mcuprof.rewrites.edit import Draft


def remove_unused(graph: Graph) -> Graph:
    """The graph without operators and tensors that nothing depends on; the same object when there are none."""
    writers: dict[int, list[int]] = {}
    for index, op in enumerate(graph.ops):
        for tensor in op.outputs:
            writers.setdefault(tensor, []).append(index)
    pending = [index for index, op in enumerate(graph.ops) if _has_effects(graph, op)]
    pending += [index for tensor in graph.outputs for index in writers.get(tensor, ())]
    needed: set[int] = set()
    while pending:
        index = pending.pop()
        if index not in needed:
            needed.add(index)
            pending += [
                writer for tensor in graph.ops[index].inputs if tensor != ABSENT for writer in writers.get(tensor, ())
            ]
    draft = Draft(graph)
    for index in range(len(graph.ops)):
        if index not in needed:
            draft.op(index, None)
    return _compact(draft.close())


def _has_effects(graph: Graph, op: Op) -> bool:
    tensors = [graph.tensors[index] for index in (*op.inputs, *op.outputs) if index != ABSENT]
    state = any(tensor.variable or tensor.dtype in (DType.RESOURCE, DType.VARIANT) for tensor in tensors)
    calls = any(name.endswith("_subgraph") for name in op.attributes)
    return state or calls or not any(index != ABSENT for index in op.outputs)


def _compact(graph: Graph) -> Graph:
    """Tensors that nobody names dropped, the others renumbered in their order."""
    named = {index for op in graph.ops for index in (*op.inputs, *op.outputs, *op.intermediates)}
    named |= {*graph.inputs, *graph.outputs}
    if len(named - {ABSENT}) == len(graph.tensors):
        return graph
    kept = sorted(named - {ABSENT})
    place = {old: new for new, old in enumerate(kept)} | {ABSENT: ABSENT}

    def moved(indices: Iterable[int]) -> tuple[int, ...]:
        return tuple(place[index] for index in indices)

    draft = Draft(graph)
    for index, op in enumerate(graph.ops):
        inputs, outputs, between = moved(op.inputs), moved(op.outputs), moved(op.intermediates)
        draft.op(index, replace(op, inputs=inputs, outputs=outputs, intermediates=between))
    draft.tensors = [graph.tensors[index] for index in kept]
    draft.changed = True
    return replace(draft.close(), inputs=moved(graph.inputs), outputs=moved(graph.outputs))
