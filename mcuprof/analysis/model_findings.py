"""Findings on the model itself: how it was read, what is wrong with it, what the runtime refuses, what it wastes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from mcuprof import runtimes
from mcuprof.document import Finding
from mcuprof.graph import Graph
from mcuprof.ops import is_known
from mcuprof.ops.defect import Defect, Topic
from mcuprof.ops.islands import float_parts
from mcuprof.ops.redundancy import Redundancy, redundancy
from mcuprof.ops.soundness import NPU, defects
from mcuprof.units import format_bytes

_CODES: Mapping[Topic, str] = MappingProxyType(
    {"operators": "O405", "activation": "O406", "quantization": "Q505", "scheme": "Q503", "bias": "Q506"}
)
# Reshape targets and biases of zeros are often equal; below this nobody would export a model again.
_LEAST_COPIED_BYTES = 1024
_EXPORT = "share or remove it when exporting the model"


def model_findings(graph: Graph, runtime: runtimes.Runtime, ethos: bool) -> Iterator[Finding]:
    """Everything that can be said without memory, flash and time; `ethos`: the target has an Ethos-U."""
    yield from _reading(graph)
    yield from _defects(graph)
    yield from _support(graph, runtime, ethos)
    yield from _floats(graph)
    yield from _redundant(graph, redundancy(graph))


def _reading(graph: Graph) -> Iterator[Finding]:
    for oddity in graph.origin.oddities:
        yield Finding("O407", "warning", oddity)
    for note in graph.origin.notes:
        yield Finding("O403", "note", note)
    if graph.origin.format == "onnx":
        text = "an ONNX model was judged as if it were converted to TFLite operator by operator"
        yield Finding("M110", "warning", text, "convert it and check the .tflite for numbers that are exact")


def _defects(graph: Graph) -> Iterator[Finding]:
    """One finding per defect, however many operators share it."""
    groups: dict[Defect, list[Defect]] = {}
    for defect in defects(graph):
        groups.setdefault(replace(defect, op=None), []).append(defect)
    for same in groups.values():
        first, numbers = same[0], [defect.op for defect in same if defect.op is not None]
        message = first.said_of(_operators(numbers)) if numbers else first.message
        yield Finding(_CODES[first.topic], "error" if first.fatal else "warning", message)


def _support(graph: Graph, runtime: runtimes.Runtime, ethos: bool) -> Iterator[Finding]:
    """One finding per kind and reason, however many operators share it."""
    reasons: dict[tuple[str, str], list[int]] = {}
    unknown: dict[str, int] = {}
    for g in (graph, *graph.subgraphs):
        for index, op in enumerate(g.ops):
            reason = runtime.refusal(g, op)
            if op.kind == NPU and not ethos:
                reason = "it was compiled for an Ethos-U, which this target does not have"
            if reason is not None:
                reasons.setdefault((op.kind, reason), []).append(index)
            if not is_known(op):
                unknown[op.kind] = unknown.get(op.kind, 0) + 1
    for (kind, reason), indices in reasons.items():
        code = "O401" if "no kernel" in reason else "O402"
        yield Finding(code, "error", f"{_operators(indices)} ({kind}): {reason}")
    for kind, count in unknown.items():
        text = f"{count} × {kind}: not known to mcuprof; its tensors count, its MACs and scratch do not"
        yield Finding("O404", "warning", text)


def _floats(graph: Graph) -> Iterator[Finding]:
    parts = float_parts(graph)
    if parts.everywhere:
        yield Finding("Q504", "note", "no operator with weights has quantized activations", "quantize the model")
    if parts.left:
        inside = [index for group in parts.left for index in group]
        text = f"{_operators(inside)} ({_kinds(graph, inside)}) in float in a quantized graph"
        yield Finding("Q501", "note", text, "quantize them too")
    if parts.islands:
        inside = [index for group in parts.islands for index in group]
        islands = "an island" if len(parts.islands) == 1 else f"{len(parts.islands)} islands"
        text = f"{islands}: {_operators(inside)} ({_kinds(graph, inside)}), converted from integers and back"
        yield Finding("Q502", "warning", text, "quantize what is between the conversions")


def _redundant(graph: Graph, found: Redundancy) -> Iterator[Finding]:
    if found.copied_bytes >= _LEAST_COPIED_BYTES and graph.origin.format == "tflite":
        text = f"{found.copies} constants are stored again, equal to others: {format_bytes(found.copied_bytes)}"
        yield Finding("F204", "note", text, "convert with buffer deduplication", found.copied_bytes)
    if found.repeated:
        text = f"{_operators(found.repeated)} ({_kinds(graph, found.repeated)}) compute what another has computed"
        yield Finding("D602", "note", text, _EXPORT)
    if found.constant:
        text = f"{_operators(found.constant)} ({_kinds(graph, found.constant)}) compute the same in every inference"
        yield Finding("D603", "note", text, "fold constants when converting the model")
    if found.unused:
        size = f" and {format_bytes(found.unused_bytes)} of constants" if found.unused_bytes else ""
        text = f"{found.unused} tensor{'s' if found.unused > 1 else ''}{size} that no operator uses"
        yield Finding("D607", "note", text, _EXPORT, found.unused_bytes or None)


def _operators(indices: Sequence[int]) -> str:
    return f"operator {indices[0]}" + (f" and {len(indices) - 1} more" if len(indices) > 1 else "")


def _kinds(graph: Graph, indices: Sequence[int], most: int = 3) -> str:
    kinds = list(dict.fromkeys(graph.ops[index].kind for index in indices))
    return ", ".join(kinds[:most]) + (", …" if len(kinds) > most else "")
