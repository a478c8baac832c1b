"""An ONNX model without dead channels: the file written anew, and ONNX Runtime as the judge of what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mcuprof.graph import Graph
from mcuprof.ops.floating import is_float_island
from mcuprof.ops.narrowing import channel_axis
from mcuprof.planning.onnx_proof import alike
from mcuprof.planning.pruning import Pruned
from mcuprof.progress import Say, silent
from mcuprof.readers.onnx import read_onnx
from mcuprof.readers.onnx.load import parse
from mcuprof.rewrites import compared
from mcuprof.rewrites.dead_channels_nchw import narrowing
from mcuprof.writers.onnx_narrow import Narrower
from mcuprof.writers.onnx_nodes import Nodes
from mcuprof.writers.onnx_stripes import refusal

INPUTS = 5


def prune_onnx(
    graph: Graph, data: bytes, *, floats: bool, say: Say = silent, inputs: int = INPUTS
) -> tuple[Pruned | None, str]:
    """`graph` (what the reader made of `data`) without dead channels, proven; else None and why.

    `floats`: also around products that QDQ models leave to floats. Only terms that are zero go there, but a float sum
    of fewer terms may be rounded otherwise, so that equality is tested and not certain; without, it holds for every
    input. Raises PlanError where any value differs; nothing should then be written.
    """
    model = parse(data)
    if reason := refusal(model, graph):
        return None, f"dead channels were not looked for: {reason}" if floats else ""
    narrower = Narrower(Nodes(model, graph))
    reasons = {index: narrower.unable(index) for index in range(len(graph.ops))}
    if not floats:
        reasons |= {
            index: "it sums floats, so equality can be tested only: --prune-dead does"
            for index, op in enumerate(graph.ops)
            if is_float_island(op)
        }
    fixed = {index for index, reason in reasons.items() if reason}
    found = narrowing(graph, fixed)
    if not found.tensors:
        return None, _kept(graph, reasons)
    written = narrower.narrowed(found)
    after = read_onnx(written, "", {})
    steps = alike((graph, data), (after, written), say, inputs, found.tensors)
    if not any(step.executed for step in steps):
        return None, "the pruned model could not be executed, so it is not used"
    summary = replace(compared(graph, after), channels=(_channels(graph), _channels(after)))
    return Pruned(after, written, summary, (len(data), len(written)), tuple(steps)), ""


def _kept(graph: Graph, reasons: Mapping[int, str]) -> str:
    """What stands in the way, if anything does: the first operator that would lose channels if it could."""
    could = narrowing(graph, ()).tensors
    for index, op in enumerate(graph.ops):
        if any(tensor in could for tensor in (*op.inputs, *op.outputs)) and reasons[index]:
            return f"dead channels stay: operator {index} ({op.source}): {reasons[index]}"
    return ""


def _channels(graph: Graph) -> int:
    computed = [graph.tensors[index] for index in graph.producer]
    return int(np.sum([tensor.shape[channel_axis(tensor)] for tensor in computed if tensor.shape]))
