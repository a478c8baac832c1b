"""Graphs written as .tflite: read back equal, laid out as the schema asks, and run by other runtimes bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tflite

from mcuprof.errors import ModelError
from mcuprof.graph import Attribute, DType, Graph, Op, Origin, Quantization, Tensor
from mcuprof.readers import read
from mcuprof.readers.tflite import read_tflite
from mcuprof.readers.tflite_options import OPTIONS
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.oracles import open_oracle
from mcuprof.writers.tflite_model import refusal, to_tflite
from tests.corpus import model, models, needs_shared
from tests.graphs import op, tensor
from tests.rewrites.judge import on_litert, on_tflm

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "samples").glob("*.tflite"))


def contents(graph: Graph) -> tuple[object, ...]:
    """Everything that a reader keeps, comparable."""
    tensors = [
        (t.name, t.shape, t.dtype, t.quantization, None if t.data is None else bytes(t.data), t.variable)
        for t in graph.tensors
    ]
    ops = [(o.kind, o.inputs, o.outputs, dict(o.attributes), o.version, o.intermediates) for o in graph.ops]
    origin = (dict(graph.origin.metadata), graph.origin.description)
    return graph.name, tensors, ops, graph.inputs, graph.outputs, origin


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_read_back_as_they_were(path: Path) -> None:
    graph = read(path)
    data = to_tflite(graph)
    assert contents(read_tflite(data, {})) == contents(graph)
    assert data == to_tflite(graph)


@needs_shared
def test_the_corpus_is_read_back_as_it_was() -> None:
    written = 0
    for entry in models():
        if entry.path.suffix != ".tflite" or entry.path.stat().st_size > 700_000:
            continue
        try:
            graph = read(entry.path)
        except ModelError:
            continue
        if refusal(graph) is None and entry.name != "bad_scale_nan":  # NaN is not equal to itself
            assert contents(read_tflite(to_tflite(graph), {})) == contents(graph), entry.name
            written += 1
    assert written > 90


# A value that is no default, for every option of the schema that the reader knows.
VALUES: dict[str, Attribute] = {
    "padding": "VALID",
    "activation": "RELU6",
    "container": "box",
    "shared_name": "state",
    "new_shape": (3, -1),
    "axes": (1, 2),
    "alpha": 0.25,
    "beta": 0.5,
    "cell_clip": 2.0,
    "proj_clip": 4.0,
    **dict.fromkeys(("keep_dims", "keep_num_dims", "adj_x", "adj_y", "exclusive", "reverse", "time_major"), True),
    **dict.fromkeys(("align_corners", "half_pixel_centers", "approximate", "asymmetric_inputs"), True),
    **dict.fromkeys(("bias_type", "output_type"), int(tflite.TensorType.INT64)),
    **dict.fromkeys(("weights_format", "kernel_type", "mode"), 1),
    "pot_scale_int16": False,
}


@pytest.mark.parametrize("kind", sorted(OPTIONS))
def test_every_option_is_kept(kind: str) -> None:
    attributes = {name: VALUES.get(name, 3) for name in OPTIONS[kind][1]}
    quantized = Quantization((0.5,), (1,))
    tensors = (Tensor("x", (2, 3), DType.INT8, quantized), Tensor("y", (2, 3), DType.INT8, quantized))
    if any(name.endswith("_subgraph") for name in attributes):
        attributes = dict.fromkeys(attributes, 0)
    graph = Graph("g", tensors, (Op(kind, (0,), (1,), attributes, version=7),), (0,), (1,))
    found = read_tflite(to_tflite(graph), {}).ops[0]
    assert dict(found.attributes) == attributes
    assert (found.kind, found.version) == (kind, 7)


def test_custom_options_are_kept() -> None:
    attributes: dict[str, Attribute] = {"custom_options": bytes(range(37))}
    graph = Graph(
        "g",
        (tensor("x", [4]), tensor("y", [4])),
        (Op("CUSTOM:mystery", (0,), (1,), attributes), Op("CUSTOM:none", (0,), (1,))),
        (0,),
        (1,),
    )
    found = read_tflite(to_tflite(graph), {}).ops
    assert [(one.kind, dict(one.attributes)) for one in found] == [("CUSTOM:mystery", attributes), ("CUSTOM:none", {})]


def test_buffers_are_aligned_and_equal_ones_shared() -> None:
    same, other = bytes(range(48)), bytes(48)
    graph = Graph(
        "g",
        (
            tensor("x", [48]),
            tensor("a", [48], data=same),
            tensor("b", [4, 12], data=same),
            tensor("c", [48], data=other),
            tensor("y", [48]),
        ),
        (op("ADD", (0, 1), (4,)),),
        (0,),
        (4,),
        Origin(metadata={"odd": b"\1\2\3", "empty": b""}),
    )
    data = to_tflite(graph)
    file = tflite.Model.GetRootAs(data, 0)
    table = file.Subgraphs(0)
    numbers = [table.Tensors(index).Buffer() for index in range(5)]
    assert numbers[1] == numbers[2] != numbers[3]
    assert numbers[0] == numbers[4] == 0
    assert file.Buffers(0).DataLength() == 0
    for index in range(1, file.BuffersLength()):
        buffer = file.Buffers(index)
        if buffer.DataLength():  # where the content starts in the file
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0
    assert dict(read_tflite(data, {}).origin.metadata) == {"odd": b"\1\2\3", "empty": b""}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_run_alike_in_tflite_micro(path: Path) -> None:
    graph = read(path)
    after, before = on_tflm(graph), open_oracle("tflm", graph)
    inputs = random_inputs(graph, 1)
    ours, theirs = after.run(inputs), before.run(inputs)
    assert ours.keys() == theirs.keys() and ours
    assert all(np.array_equal(ours[index], theirs[index]) for index in ours)


@needs_shared
@pytest.mark.parametrize("name", ["mlperf_kws_int8", "tflm_dtln_noise_suppression", "tflm_keyword_scrambled"])
def test_corpus_models_run_alike_in_tflite_micro(name: str) -> None:
    test_samples_run_alike_in_tflite_micro(model(name).path)


@pytest.mark.parametrize("path", SAMPLES[:3], ids=lambda path: path.stem)
def test_samples_run_alike_in_litert(path: Path) -> None:
    graph = read(path)
    after, before = on_litert(graph), open_oracle("litert", graph)
    inputs = random_inputs(graph, 1)
    ours, theirs = after.run(inputs), before.run(inputs)
    assert ours.keys() == theirs.keys() and ours
    assert all(np.array_equal(ours[index], theirs[index]) for index in ours)


def plain() -> Graph:
    return Graph("g", (tensor("x", [4]), tensor("y", [4])), (op("RELU", (0,), (1,)),), (0,), (1,))


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (replace(plain(), subgraphs=(plain(),)), "2 subgraphs"),
        (replace(plain(), origin=Origin(format="onnx")), "read from onnx"),
        (replace(plain(), ops=(op("BIDIRECTIONAL_SEQUENCE_LSTM", (0,), (1,)),)), "options of operator 0"),
        (replace(plain(), ops=(op("MAX_POOL_2D", (0,), (1,), {"layout": "NCHW"}),)), "operator 0"),
        (replace(plain(), tensors=(tensor("x", [4], data=b"\1"), tensor("y", [4]))), "'x' is sparse"),
    ],
)
def test_what_would_be_lost_is_refused(graph: Graph, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        to_tflite(graph)
