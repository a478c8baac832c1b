"""Refusals against what TFLM did with every model of the corpus."""

from __future__ import annotations

import pytest

from mcuprof.graph import Graph
from mcuprof.ops.soundness import NPU, defects
from mcuprof.readers import read
from mcuprof.runtimes.tflm.support import refusal
from tests.corpus import Model, models, needs_shared

TFLITE = [m for m in models() if m.row["format"] == "tflite" and m.row["runs_tflm"]]


def refusals(graph: Graph) -> list[str]:
    found = [refusal(g, op) for g in (graph, *graph.subgraphs) for op in g.ops]
    npu = ["npu" for op in graph.ops if op.kind == NPU]
    return [reason for reason in found if reason] + npu + [d.message for d in defects(graph) if d.fatal]


@needs_shared
@pytest.mark.parametrize("entry", [m for m in TFLITE if m.row["runs_tflm"] == "yes"], ids=lambda entry: entry.name)
def test_what_tflm_runs_is_not_refused(entry: Model) -> None:
    if entry.row["kind"] == "adversarial":
        pytest.skip("broken on purpose: TFLM runs it without noticing")
    assert refusals(read(entry.path)) == []


@needs_shared
@pytest.mark.parametrize("entry", [m for m in TFLITE if m.row["runs_tflm"] != "yes"], ids=lambda entry: entry.name)
def test_what_tflm_refuses_is_refused(entry: Model) -> None:
    from mcuprof.errors import ModelError

    try:
        graph = read(entry.path)
    except ModelError:
        return
    assert refusals(graph)
