"""Files that lie: each ends in a graph or in one line, and nothing outside the model's folder is read."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from mcuprof.errors import ModelError
from mcuprof.limits import ReadLimits
from mcuprof.readers.onnx import read_onnx
from tests.readers.onnx_build import Qdq, build, kinds, node, read

FLOAT = TensorProto.FLOAT
X = {"x": (FLOAT, [1, 4])}


def external(location: str, **entries: str) -> bytes:
    """x + w, with w ([4] float) in another file."""
    model = onnx.ModelProto.FromString(build([node("Add", "x w", "y")], X, ["y"]))
    weights = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        weights.external_data.add(key=key, value=value)
    model.graph.initializer.append(weights)
    content: bytes = model.SerializeToString()
    return content


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(values.tobytes())
    data = external("sub/w.bin", offset="8", length="16")
    graph = read_onnx(data, str(tmp_path / "model.onnx"), {})
    assert graph.input(graph.ops[0], 1).array().tolist() == [2, 3, 4, 5]


def test_external_data_counts_against_the_limit_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    path = str(tmp_path / "model.onnx")
    read_onnx(external("w.bin"), path, {}, ReadLimits(file=16))
    with pytest.raises(ModelError, match=r"16 bytes of external data.*--limit file=16"):
        read_onnx(external("w.bin"), path, {}, ReadLimits(file=15))


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../w.bin", "sub/../../w.bin", "..\\w.bin", "C:\\w.bin", "link.bin"]
)
def test_external_data_elsewhere_is_never_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ModelError, match="outside the model's folder"):
        read_onnx(external(location), str(folder / "model.onnx"), {})


def test_external_data_that_is_missing_keeps_the_constant(tmp_path: Path) -> None:
    graph = read_onnx(external("gone.bin"), str(tmp_path / "model.onnx"), {})
    assert graph.input(graph.ops[0], 1).is_constant and "external data" in graph.origin.notes[0]


@pytest.mark.parametrize("entries", [{"length": "12"}, {"offset": "-4"}, {"offset": "8"}, {"length": "four"}])
def test_external_data_that_does_not_fit(tmp_path: Path, entries: dict[str, str]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    with pytest.raises(ModelError, match="'w'"):
        read_onnx(external("w.bin", **entries), str(tmp_path / "model.onnx"), {})


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("Relu", "a", "b"), node("Relu", "b", "a"), node("Add", "x a", "y")], "cycle"),
        ([node("Relu", "y", "y")], "cycle"),
        ([node("Relu", "x", "y"), node("Neg", "x", "y")], "writes the tensor 'y' twice"),
        ([node("Relu", "x", "x"), node("Relu", "x", "y")], "writes the tensor 'x' twice"),
        ([node("Add", "x nowhere", "y")], "'nowhere', which nothing writes"),
        ([node("Relu", "x", "z")], "output 'y' that nothing writes"),
        ([node("Conv", "x", "y")], "Conv"),
        ([node("Relu", "", "y")], "Relu"),
        ([node("Unknown", "x", "y")], "tensor 'y' (output of Unknown) has no shape"),
        ([node("Constant", "", "y")], "exactly one value"),
        ([node("SequenceConstruct", "x", "s"), node("SequenceAt", "s i", "y")], "tensor 's'"),
        ([node("QuantizeLinear", "x bad_s", "q"), node("DequantizeLinear", "q bad_s", "y")], "negative or not finite"),
        ([node("Reshape", "x shape", "y")], "'y'"),
    ],
)
def test_broken_graphs_are_one_line(nodes: list[object], reason: str) -> None:
    constants = {"i": np.int64(0), "bad_s": np.float32(np.nan), "shape": np.array([7, 7])}
    with pytest.raises(ModelError) as caught:
        read(build(nodes, X, ["y"], constants))
    assert reason in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_open_inputs_need_a_shape() -> None:
    data = build([node("Relu", "x", "y")], {"x": (FLOAT, ["n", 3, "h", "w"])}, ["y"])
    with pytest.raises(ModelError, match=r"'x' has the open shape 1x3xhxw.*--input-shape x:1x3x96x96"):
        read(data)
    graph = read(data, {"x": (2, 3, 8, 9)})
    assert graph.tensors[graph.outputs[0]].shape == (2, 3, 8, 9) and graph.origin.notes == ()


def test_one_given_shape_names_the_dimensions_of_the_others() -> None:
    inputs = {"a": (FLOAT, ["n", "t"]), "b": (FLOAT, ["n", "t"])}
    graph = read(build([node("Add", "a b", "y")], inputs, ["y"]), {"b": (2, 5)})
    assert [graph.tensors[index].shape for index in graph.inputs] == [(2, 5), (2, 5)]


@pytest.mark.parametrize("shapes", [{"z": (1, 4)}, {"x": (1, 4, 1)}, {"x": (1, 5)}])
def test_shapes_that_contradict_the_file(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ModelError):
        read(build([node("Relu", "x", "y")], X, ["y"]), shapes)


def test_local_functions_are_expanded() -> None:
    body = [node("Relu", "a", "r"), node("Add", "r a", "b")]
    twice = helper.make_function("own", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    model = onnx.ModelProto.FromString(build([node("Twice", "x", "y", domain="own")], X, ["y"], functions=[twice]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    assert kinds(read(model.SerializeToString())) == ["RELU", "ADD"]


def test_functions_that_call_themselves_or_explode() -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    endless = [helper.make_function("own", "F0", ["a"], ["b"], [node("F0", "a", "b", domain="own")], opsets)]
    bombs = [
        helper.make_function(
            *("own", f"F{level}", ["a"], ["b"]),
            [
                node(f"F{level + 1}" if level < 9 else "Relu", "a", f"b{i or ''}", domain="own" if level < 9 else "")
                for i in range(10)
            ],
            opsets,
        )
        for level in range(10)
    ]
    for functions, reason in ((endless, "calls itself"), (bombs, "expands to more than")):
        data = build([node("F0", "x", "y", domain="own")], X, ["y"], functions=functions)
        with pytest.raises(ModelError, match=reason):
            read(data)


def test_branches_capture_what_they_read() -> None:
    """A branch reads the outer Relu: it is an input of the IF and of both bodies; the outer constant is copied."""
    outputs = [helper.make_tensor_value_info("o", FLOAT, None)]
    then = helper.make_graph([node("Add", "r k", "o")], "then", [], outputs)
    other = helper.make_graph([node("Identity", "k", "o")], "else", [], outputs)
    nodes = [node("Relu", "x", "r"), node("If", "c", "y", then_branch=then, else_branch=other)]
    data = build(nodes, {**X, "c": (TensorProto.BOOL, [])}, ["y"], {"k": np.ones((1, 4), np.float32)})
    graph = read(data)
    branch = graph.ops[1]
    assert branch.kind == "IF" and [graph.tensors[index].name for index in branch.inputs] == ["c", "r"]
    bodies = [graph.subgraphs[branch.integer(f"{name}_subgraph") - 1] for name in ("then", "else")]
    assert [[body.tensors[index].name for index in body.inputs] for body in bodies] == [["r"], ["r"]]
    assert bodies[0].input(bodies[0].ops[0], 1).is_constant and graph.output(branch).shape == (1, 4)


@pytest.mark.parametrize(("rank", "expected"), [(3, "Identity"), (2, "NEG")])
def test_branches_that_are_decided_by_a_shape_are_taken(rank: int, expected: str) -> None:
    """What PyTorch exports for squeeze(): if the axis has length 1 … else …, decided once the shape is known."""
    outputs = [helper.make_tensor_value_info("o", FLOAT, None)]
    then = helper.make_graph([node("Identity", "x", "o")], "then", [], outputs)
    other = helper.make_graph([node("Neg", "x", "o")], "else", [], outputs)
    nodes = [
        node("Shape", "x", "s"),
        node("Size", "s", "rank"),
        node("Equal", "rank three", "c"),
        node("If", "c", "b", then_branch=then, else_branch=other),
        node("Relu", "b", "y"),
    ]
    graph = read(build(nodes, {"x": (FLOAT, [1, 4, 5][:rank])}, ["y"], {"three": np.int64(3)}))
    assert kinds(graph) == [expected, "Identity", "RELU"] and graph.subgraphs == ()


def test_bodies_of_loops_are_fused_too() -> None:
    net = Qdq()
    w = net.weights("w", np.ones((4, 4), np.int8), 0.5)
    net.add("MatMul", f"{net.pair('state', 0.5, 0)} {w}", "m")
    net.pair("m", 0.5, 0)
    net.add("Identity", "go", "on")
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        net.nodes,
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state", FLOAT, None)],
        [value("on", TensorProto.BOOL, []), value("m_d", FLOAT, None), value("state_q", TensorProto.INT8, None)],
    )
    data = build([node("Loop", "n - x", "y z", body=body)], X, ["y", "z"], {"n": np.int64(3), **net.constants})
    graph = read(data)
    assert kinds(graph.subgraphs[0]) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE", "Identity"]
    assert [graph.tensors[index].shape for index in graph.outputs] == [(1, 4), (3, 1, 4)]


def _network() -> bytes:
    net = Qdq()
    net.constants |= {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "axes": np.array([0])}
    w = net.weights("w", np.ones((4, 2, 3, 3), np.int8), np.full(4, 0.1), axis=0)
    net.add("Pad", f"{net.pair('x', 0.5, 3)} pads", "p")
    net.add("Conv", f"p {w}", "c")
    net.add("Relu", "c", "r")
    net.pair("r", 0.5, 0)
    net.add("Shape", "r_d", "s")
    net.add("Reshape", "r_d s", "f")
    net.add("Squeeze", "f axes", "y")
    return build(net.nodes, {"x": (FLOAT, [1, 2, 6, 6])}, ["y"], net.constants)


def test_nested_branches_name_their_own_bodies() -> None:
    """Found with bad_o_deep_if_25: bodies inside bodies were numbered anew."""
    outputs = [helper.make_tensor_value_info("o", FLOAT, None)]

    def branch(name: str, nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
        return helper.make_graph(nodes, name, [], outputs)

    leaf = branch("leaf", [node("Neg", "x", "o")])
    inner = branch("inner", [node("If", "c", "o", then_branch=leaf, else_branch=leaf)])
    nodes = [node("If", "c", "y", then_branch=inner, else_branch=leaf)]
    graph = read(build(nodes, {**X, "c": (TensorProto.BOOL, [])}, ["y"]))
    assert [kinds(body) for body in graph.subgraphs] == [["NEG"], ["IF"], ["NEG"], ["NEG"]]
    outer, nested = graph.ops[0], graph.subgraphs[1].ops[0]
    found = [[op.integer(f"{name}_subgraph") for name in ("then", "else")] for op in (outer, nested)]
    assert found == [[2, 1], [4, 3]]


def test_onnx_is_imported_only_when_a_file_is_read() -> None:
    code = "import sys, mcuprof.readers.onnx; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NETWORK = _network()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(NETWORK) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes_never_raise_anything_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(NETWORK)
    for place, value in changes:
        data[place] = value
    with contextlib.suppress(ModelError):
        read(bytes(data))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=64))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        read(data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_structure_never_raises_anything_else(draw: st.DataObject) -> None:
    model = onnx.ModelProto.FromString(NETWORK)
    made = draw.draw(st.sampled_from(list(model.graph.node)))
    what = draw.draw(st.integers(0, 4))
    if what == 0:
        del made.input[draw.draw(st.integers(0, len(made.input) - 1))]
    elif what == 1:
        names = [tensor.name for tensor in model.graph.initializer]
        made.input[draw.draw(st.integers(0, len(made.input) - 1))] = draw.draw(st.sampled_from([*names, ""]))
    elif what == 2:
        made.op_type = draw.draw(st.sampled_from(sorted({schema.name for schema in onnx.defs.get_all_schemas()})))
    elif what == 3:
        tensor = draw.draw(st.sampled_from(list(model.graph.initializer)))
        tensor.data_type = draw.draw(st.integers(-1, 30))
    else:
        made.attribute.append(
            helper.make_attribute("axis", draw.draw(st.sampled_from([-9, 0, 9, 2**62, 0.5, "a", [1]])))
        )
    with contextlib.suppress(ModelError):
        read(model.SerializeToString())
