"""Reordered ONNX files: a valid order of the same nodes that gives the same outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcuprof.memory import plan
from mcuprof.readers import read
from mcuprof.runner.inputs import random_inputs
from mcuprof.writers.onnx import reordered
from tests.corpus import MODELS

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.onnx"))
BRANCHING = [
    path for path in (MODELS / "drv_ssd_qdq_s8_pc.onnx", MODELS / "qonnx_espcn_subpixel_quant.onnx") if path.is_file()
]


@pytest.mark.parametrize("path", SAMPLES + BRANCHING, ids=lambda path: path.name)
def test_the_order_is_valid_and_the_nodes_are_the_same(path: Path) -> None:
    import onnx

    data, graph = path.read_bytes(), read(path)
    order = tuple(reversed(plan(graph, "as-is", "none").order))  # not even possible: only wishes are followed
    before = onnx.load_model_from_string(data)
    for wish in (order, tuple(range(len(graph.ops)))):
        after = onnx.load_model_from_string(reordered(data, graph, wish))
        ready = {value.name for value in (*after.graph.input, *after.graph.initializer)} | {""}
        for node in after.graph.node:
            assert ready.issuperset(node.input), node.name
            ready.update(node.output)
        names = sorted(node.SerializeToString() for node in after.graph.node)
        assert names == sorted(node.SerializeToString() for node in before.graph.node)
        del before.graph.node[:], after.graph.node[:]
        assert before == after
        before = onnx.load_model_from_string(data)


def test_the_branching_sample_runs_depth_first_with_equal_outputs() -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = next(path for path in SAMPLES if path.name == "inception_qdq.onnx")
    graph = read(path)
    best = plan(graph, "optimal", "none")
    data = reordered(path.read_bytes(), graph, best.order)
    assert data != path.read_bytes()
    assert data == reordered(data, graph, best.order)

    def outputs(model: bytes) -> Any:
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = runtime.InferenceSession(model, options, ["CPUExecutionProvider"])
        feeds = {graph.tensors[index].name: value for index, value in random_inputs(graph, 1).items()}
        return session.run(None, feeds)

    for one, other in zip(outputs(path.read_bytes()), outputs(data), strict=True):
        assert np.array_equal(one, other)

    # The reader keeps the file's order, so what it reads back has the arena of the plan without reordering.
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(data)
        file.flush()
        assert plan(read(file.name), "as-is", "none").arena_bytes == best.arena_bytes == 50_176  # samples/README.md
