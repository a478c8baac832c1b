"""LSTM, DynamicQuantizeLSTM, GRU and RNN of random sizes and options against ONNX Runtime, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcuprof.errors import ModelError
from mcuprof.graph import Graph
from mcuprof.ops import macs
from mcuprof.readers.onnx import read_onnx
from mcuprof.runner.program import evaluate, prepare

runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")

F = np.float32
DYNAMIC = "DynamicQuantizeLSTM"
GATES = {"LSTM": 4, DYNAMIC: 4, "GRU": 3, "RNN": 1}
FUNCTIONS = {"LSTM": 3, DYNAMIC: 3, "GRU": 2, "RNN": 1}
OUTPUTS = {"LSTM": ("Y", "Y_h", "Y_c"), DYNAMIC: ("Y", "Y_h", "Y_c"), "GRU": ("Y", "Y_h"), "RNN": ("Y", "Y_h")}
NAMES = (
    *(
        "Sigmoid",
        "Tanh",
        "Relu",
        "Softsign",
        "LeakyRelu",
        "ThresholdedRelu",
        "Affine",
        "HardSigmoid",
        "Elu",
        "Softplus",
    ),
    "ScaledTanh",
)
SMALL = st.integers(1, 5)
SIZE = st.integers(1, 40)


class Network:
    """A file of one operator, what is fed to it, and what it gives."""

    def __init__(self, kind: str, seed: int, steps: int, batch: int, features: int, hidden: int) -> None:
        self.kind, self.rng = kind, np.random.default_rng(seed)
        self.steps, self.batch, self.features, self.hidden = steps, batch, features, hidden
        self.gates = GATES[kind]
        self.columns = self.gates * hidden
        self.attributes: dict[str, Any] = {"hidden_size": hidden}
        self.inputs = [""] * 12
        self.feeds: dict[str, Any] = {}
        self.stored: dict[str, Any] = {}
        self.outputs = list(OUTPUTS[kind])
        self.directions = 1
        self.put(0, "X", self.normal(steps, batch, features), fed=True)

    def normal(self, *shape: int, by: float = 1.0) -> Any:
        return (by * self.rng.standard_normal(shape)).astype(F)

    def put(self, position: int, name: str, value: Any, *, fed: bool = False) -> None:
        self.inputs[position] = name
        (self.feeds if fed else self.stored)[name] = value

    def face(self, direction: str) -> None:
        self.attributes["direction"] = direction
        self.directions = 2 if direction == "bidirectional" else 1

    def floats(self, by: float, *, fed: tuple[bool, bool] = (False, False)) -> None:
        """Weights as floats, of about this size, constants or inputs."""
        for position, name, inner in ((1, "W", self.features), (2, "R", self.hidden)):
            self.put(position, name, self.normal(self.directions, self.columns, inner, by=by), fed=fed[position - 1])

    def integers(self, dtype: type[Any], *, per_channel: bool, zeros: bool, fed: bool = False) -> None:
        """Weights as integers with scales; ONNX Runtime takes zero points other than 0 per direction only."""
        info = np.iinfo(dtype)
        count = (self.directions, self.columns) if per_channel else (self.directions,)
        middle = 128 if dtype is np.uint8 else 0
        for position, name, inner in ((1, "W", self.features), (2, "R", self.hidden)):
            shape = (self.directions, inner, self.columns)
            self.put(position, name, self.rng.integers(info.min, info.max, shape, endpoint=True).astype(dtype))
            scale = (self.rng.random(count) * 0.02 + 0.001).astype(F)
            self.put(6 + 2 * position, f"{name}_scale", scale, fed=fed)
            zero = self.rng.integers(middle - 20, middle + 20, count) if zeros and not per_channel else middle
            self.put(7 + 2 * position, f"{name}_zero", np.broadcast_to(np.array(zero, dtype), count).copy())

    def bias(self) -> None:
        self.put(3, "B", self.normal(self.directions, 2 * self.columns))

    def __repr__(self) -> str:
        shapes = {name: value.shape for name, value in {**self.feeds, **self.stored}.items()}
        lengths = {**self.feeds, **self.stored}.get("lengths")
        return f"{self.kind} {self.outputs} {self.attributes} {lengths} fed {[*self.feeds]} {shapes}"

    def file(self) -> bytes:
        helper = onnx.helper
        inputs = self.inputs if self.kind == DYNAMIC else self.inputs[:8]
        while not inputs[-1]:
            inputs = inputs[:-1]
        domain = "com.microsoft" if self.kind == DYNAMIC else ""
        node = helper.make_node(self.kind, inputs, self.outputs, domain=domain, **self.attributes)
        types = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in self.feeds.items()
        ]
        results = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in self.outputs if name]
        stored = [onnx.numpy_helper.from_array(value, name) for name, value in self.stored.items()]
        whole = helper.make_graph([node], "one", types, results, stored)
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return bytes(helper.make_model(whole, opset_imports=imports, ir_version=9).SerializeToString())

    def check(self, *, finite: bool = False) -> None:
        """Theirs and ours; `finite`: where nothing overflows, for ONNX Runtime quantizes even infinities."""
        file = self.file()
        expected = theirs(file, self.feeds)
        if finite:
            assume(all(np.isfinite(value).all() for value in expected))
        found = ours(read_onnx(file, "", {}), self.feeds)
        assert len(expected) == len(found)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def theirs(file: bytes, feeds: dict[str, Any], *, optimised: bool = True) -> list[Any]:
    """All outputs, on one thread. Only its optimiser keeps u8 · s8 from saturating where there is no VNNI."""
    options = runtime.SessionOptions()
    level = runtime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_EXTENDED if optimised else level.ORT_DISABLE_ALL
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return list(runtime.InferenceSession(file, options, ["CPUExecutionProvider"]).run(None, feeds))


def ours(graph: Graph, feeds: dict[str, Any]) -> list[Any]:
    program = prepare(graph)
    program.require_all()
    inputs = {index: feeds[graph.tensors[index].name] for index in graph.inputs}
    values = evaluate(program, inputs, program.initial_state())
    return [values[index] for index in graph.outputs]


@st.composite
def networks(draw: st.DrawFn, kinds: tuple[str, ...]) -> Network:
    """Any size, direction, length and option that ONNX Runtime takes."""
    kind = draw(st.sampled_from(kinds))
    net = Network(kind, draw(st.integers(0, 2**32 - 1)), draw(SMALL), draw(SMALL), draw(SIZE), draw(SIZE))
    net.face(draw(st.sampled_from(("forward", "reverse", "bidirectional"))))
    if kind == DYNAMIC:
        dtype = draw(st.sampled_from((np.int8, np.uint8)))
        net.integers(dtype, per_channel=draw(st.booleans()), zeros=draw(st.booleans()), fed=draw(st.booleans()))
    else:
        net.floats(draw(st.sampled_from((0.05, 0.3, 3.0))), fed=(draw(st.booleans()), draw(st.booleans())))
    if draw(st.booleans()):
        net.bias()
    if draw(st.booleans()):
        lengths = draw(st.lists(st.integers(0, net.steps), min_size=net.batch, max_size=net.batch))
        net.put(4, "lengths", np.array(lengths, np.int32), fed=draw(st.booleans()))
    for position, name in ((5, "h"), (6, "c"))[: len(net.outputs) - 1]:
        if draw(st.booleans()):
            net.put(position, name, net.normal(net.directions, net.batch, net.hidden), fed=draw(st.booleans()))
    if len(net.outputs) == 3 and draw(st.booleans()):
        net.put(7, "P", net.normal(net.directions, 3 * net.hidden))
    if draw(st.booleans()):
        net.attributes["clip"] = draw(st.sampled_from((0.1, 1.0, 5.0)))
    if kind != "RNN" and draw(st.booleans()):
        net.attributes["linear_before_reset" if kind == "GRU" else "input_forget"] = 1
    if draw(st.booleans()):
        count = FUNCTIONS[kind] * net.directions
        names = draw(st.lists(st.sampled_from(NAMES), min_size=count, max_size=count))
        net.attributes["activations"] = [name.lower() for name in names] if kind == "GRU" else names
        for name in ("activation_alpha", "activation_beta"):
            values = draw(st.lists(st.sampled_from((0.25, 0.5, 0.1)), max_size=count))
            if values:
                net.attributes[name] = values
    wanted = draw(st.lists(st.booleans(), min_size=len(net.outputs), max_size=len(net.outputs)).filter(any))
    if kind == DYNAMIC and "lengths" in net.inputs and not lengths_of(net).all():
        wanted[0] = True  # else ONNX Runtime reads what it never wrote
    net.outputs = [name if want else "" for name, want in zip(net.outputs, wanted, strict=True)]
    return net


def lengths_of(net: Network) -> Any:
    return {**net.feeds, **net.stored}["lengths"]


@settings(deadline=None, max_examples=60)
@given(networks((DYNAMIC,)))
def test_dynamically_quantized(network: Network) -> None:
    network.check(finite=True)


@settings(deadline=None, max_examples=60)
@given(networks(("LSTM", "GRU", "RNN")))
def test_floats(network: Network) -> None:
    network.check(finite=True)


@pytest.mark.slow
@settings(deadline=None, max_examples=5000)
@given(networks(("LSTM", "GRU", "RNN", DYNAMIC)))
def test_many(network: Network) -> None:
    network.check(finite=True)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", DYNAMIC])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("fed", [False, True])
def test_sums_of_many_products(kind: str, batch: int, fed: bool) -> None:
    """Beyond the blocks of 128 and 256 in which ONNX Runtime sums up, and beyond 2^24 in integers."""
    net = Network(kind, 11, 2, batch, 700, 270)
    if kind == DYNAMIC:
        net.integers(np.int8, per_channel=True, zeros=False, fed=fed)
    else:
        net.floats(0.05, fed=(fed, fed))
    net.bias()
    net.check()


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_dequantized_weights(kind: str, direction: str) -> None:
    """QDQ: to ONNX Runtime computed weights, which it cannot pack, so that one row is summed in another order."""
    net = Network(kind, 7, 4, 1, 150, 140)
    net.face(direction)
    net.floats(1.0)
    net.bias()
    file = onnx.load_from_string(net.file())
    for name in ("W", "R"):
        content = net.rng.integers(-128, 128, net.stored[name].shape).astype(np.int8)
        (old,) = (proto for proto in file.graph.initializer if proto.name == name)
        old.CopyFrom(onnx.numpy_helper.from_array(content, f"{name}_q"))
        file.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0.002, F), f"{name}_scale"))
        file.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.int8), f"{name}_zero"))
        inputs = [f"{name}_q", f"{name}_scale", f"{name}_zero"]
        file.graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", inputs, [name]))
    content = file.SerializeToString()
    expected = theirs(content, net.feeds, optimised=False)
    graph = read_onnx(content, "", {})
    assert [op.kind for op in graph.ops] == [kind]
    for a, b in zip(ours(graph, net.feeds), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def plain(kind: str = "LSTM") -> Network:
    net = Network(kind, 3, 4, 2, 5, 6)
    if kind == DYNAMIC:
        net.integers(np.int8, per_channel=False, zeros=False)
    else:
        net.floats(0.3)
    net.bias()
    return net


REFUSED = (
    ({"activations": ["Sigmoid", "Swish", "Tanh"]}, "activation 'swish'"),
    ({"activations": ["Sigmoid"]}, "1 activations, where it needs 3"),
    ({"clip": -1.0}, "a clip of -1"),
    ({"direction": "sideways"}, "direction 'sideways'"),
    ({"hidden_size": 7}, "weights for 6 units, of which it says 7"),
)


@pytest.mark.parametrize(("attributes", "reason"), REFUSED)
@pytest.mark.parametrize("kind", ["LSTM", DYNAMIC])
def test_refused_options(kind: str, attributes: dict[str, Any], reason: str) -> None:
    net = plain(kind)
    graph = read_onnx(net.file(), "", {})
    (op,) = graph.ops
    joined = {name: ",".join(value) if isinstance(value, list) else value for name, value in attributes.items()}
    bad = replace(graph, ops=(replace(op, attributes={**op.attributes, **joined}),))
    assert prepare(bad).missing == {0: reason}


@pytest.mark.parametrize("kind", ["LSTM", DYNAMIC, "GRU", "RNN"])
@pytest.mark.parametrize("position", [0, 1, 2, 3])
@pytest.mark.parametrize("shape", [(), (1,), (1, 3), (3, 3, 3), (1, 0, 0), (1, 24, 6, 1)])
def test_wrong_shapes(kind: str, position: int, shape: tuple[int, ...]) -> None:
    """Never anything but a reason, or an error with a message when it runs."""
    graph = read_onnx(plain(kind).file(), "", {})
    (op,) = graph.ops
    tensors = list(graph.tensors)
    old = tensors[op.inputs[position]]
    data = None if old.data is None else memoryview(bytes(4 * 3 * 3 * 24))
    tensors[op.inputs[position]] = replace(old, shape=shape, data=data)
    program = prepare(replace(graph, tensors=tuple(tensors)))
    assert list(program.missing) == [0] and program.missing[0]


@pytest.mark.parametrize("kind", ["LSTM", DYNAMIC, "GRU", "RNN"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_missing_operands(kind: str, position: int) -> None:
    graph = read_onnx(plain(kind).file(), "", {})
    (op,) = graph.ops
    inputs = tuple(-1 if at == position else index for at, index in enumerate(op.inputs))
    program = prepare(replace(graph, ops=(replace(op, inputs=inputs),)))
    assert program.missing == {0: f"its operands do not fit ({op.kind} has no input {position})"}


@pytest.mark.parametrize("lengths", [(5, 1), (-1, 1)])
def test_impossible_lengths(lengths: tuple[int, int]) -> None:
    net = plain()
    net.put(4, "lengths", np.array(lengths, np.int32), fed=True)
    with pytest.raises(ModelError, match=r"sequences of -?\d to \d steps in 4"):
        ours(read_onnx(net.file(), "", {}), net.feeds)


def test_state_that_was_never_written() -> None:
    """A row without steps, integer weights, outputs that nobody takes: ONNX Runtime's results change by the run."""
    net = plain(DYNAMIC)
    net.put(4, "lengths", np.array([0, 4], np.int32), fed=True)
    net.outputs[0] = ""
    with pytest.raises(ModelError, match="an empty sequence without outputs"):
        ours(read_onnx(net.file(), "", {}), net.feeds)


@pytest.mark.parametrize("kind", ["LSTM", DYNAMIC, "GRU", "RNN"])
def test_no_steps(kind: str) -> None:
    """As for rows without steps, of which ONNX Runtime gives states of 0; of no steps at all it aborts."""
    net = plain(kind)
    net.put(0, "X", np.zeros((0, 2, 5), F), fed=True)
    y, *states = ours(read_onnx(net.file(), "", {}), net.feeds)
    assert y.shape == (0, 1, 2, 6)
    assert all(state.shape == (1, 2, 6) and not state.any() for state in states)


def test_of_tflite_is_another_operator() -> None:
    graph = read_onnx(plain().file(), "", {})
    assert prepare(replace(graph, origin=replace(graph.origin, format="tflite"))).missing == {
        0: "not executed by mcuprof"
    }


def test_scales_of_two_directions() -> None:
    """One each belongs to axis 0; one per column and direction no tensor can carry, so they stay inputs."""
    carried, kept = [], []
    for per_channel in (False, True):
        net = Network(DYNAMIC, 5, 2, 1, 3, 4)
        net.face("bidirectional")
        net.integers(np.int8, per_channel=per_channel, zeros=False)
        graph = read_onnx(net.file(), "", {})
        (op,) = graph.ops
        carried.append(graph.input(op, 1).quantization)
        kept.append(len(op.inputs))
        assert macs(graph, op) == 2 * 2 * (3 + 4) * 16
    assert carried[0] is not None and (carried[0].axis, len(carried[0].scale)) == (0, 2)
    assert carried[1] is None and kept == [3, 12]
