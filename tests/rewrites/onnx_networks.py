"""Small random ONNX networks over an image, in QDQ or QOperator form: windows, pools and residual additions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import helper, numpy_helper


def onnx_network(seed: int, same_size: bool = False) -> bytes:
    """The file of network number `seed`; its input `x` is quantized, its output one of its tensors.

    `same_size`: no operator changes the number of rows.
    """
    network = _Network(random.Random(seed), np.random.default_rng(seed))
    kinds = (network.conv, network.conv, network.depthwise, network.pool, network.residual)
    return network.file((network.residual,) if same_size else kinds)


class Growing:
    """Nodes and constants of a graph that grows, with names of their own; activations are of `dtype`."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.count = 0

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def constant(self, array: Any) -> str:
        name = self.name("c")
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def parameters(self, scale: float, zero: int, dtype: Any = None) -> list[str]:
        return [self.constant(np.float32(scale)), self.constant(np.array(zero, dtype or self.dtype))]


class _Network(Growing):
    """`here` is the last tensor: its name, shape (channels, height, width) and scale."""

    def __init__(self, rng: random.Random, numbers: np.random.Generator) -> None:
        self.rng, self.numbers = rng, numbers
        self.qdq = rng.random() < 0.5
        # Products of uint8 and int8 saturate in some of ONNX Runtime's integer kernels: floats (QDQ) only.
        super().__init__(np.uint8 if self.qdq and rng.random() < 0.5 else np.int8)
        self.shape = rng.choice((1, 3, 6)), rng.randint(8, 28), rng.randint(4, 12)
        self.input = self.shape
        self.here, self.scale, self.zero = "x", 0.05, int(numbers.integers(-20, 20)) + 64

    def file(self, kinds: Sequence[Callable[[], None]]) -> bytes:
        for _ in range(self.rng.randint(2, 6)):
            self.rng.choice(kinds)()
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info("x", kind, (1, *self.input))],
            [helper.make_tensor_value_info(self.here, kind, (1, *self.shape))],
            self.constants,
        )
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        data: bytes = helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()
        return data

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        domain = "com.microsoft" if op in ("QLinearAdd", "QLinearAveragePool") else ""
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def window(self, kernel: int) -> tuple[dict[str, Any], tuple[int, int]] | None:
        """Attributes of a window that fits, and the size it leaves."""
        _, height, width = self.shape
        stride = self.rng.randint(1, 2)
        wide = min(kernel, width)
        pads = [self.rng.randint(0, kernel // 2), self.rng.randint(0, wide // 2)]
        pads += [self.rng.randint(0, kernel // 2), self.rng.randint(0, wide // 2)]
        out = (height + pads[0] + pads[2] - kernel) // stride + 1, (width + pads[1] + pads[3] - wide) // stride + 1
        if min(out) < 1:
            return None
        attributes = {"kernel_shape": [kernel, wide], "strides": [stride, stride], "pads": pads}
        if not any(pads):
            del attributes["pads"]
        return attributes, out

    def conv(self) -> None:
        self.convolution(self.rng.randint(1, 6), 1)

    def depthwise(self) -> None:
        self.convolution(self.shape[0], self.shape[0])

    def convolution(self, channels: int, groups: int) -> None:
        found = self.window(self.rng.randint(1, 5))
        if found is None:
            return
        attributes, size = found
        shape = (channels, self.shape[0] // groups, *attributes["kernel_shape"])
        weights = self.numbers.integers(-100, 101, shape).astype(np.int8)
        scale = 0.02
        spread = self.scale * scale * 60 * 60 * float(np.sqrt(np.prod(shape[1:])))
        bias = self.numbers.integers(-500, 500, channels).astype(np.int32)
        self.operator("Conv", (weights, scale, bias), spread / 50, (channels, *size), group=groups, **attributes)

    def operator(
        self, op: str, constants: Any, scale: float, shape: tuple[int, int, int], other: str = "", **attributes: Any
    ) -> None:
        """One operator over the last tensor (and `other`, which has its quantization); its output is the last then."""
        zero = int(self.numbers.integers(-30, 30)) + (128 if self.dtype is np.uint8 else 0)
        if op in ("MaxPool", "AveragePool"):
            scale, zero = self.scale, self.zero
        given, result = self.parameters(self.scale, self.zero), self.parameters(scale, zero)
        output = self.name("t")
        if self.qdq:
            inputs = [
                self.node("DequantizeLinear", [name, *given], self.name("f")) for name in (self.here, other) if name
            ]
            if constants:
                weights, w_scale, bias = constants
                zeros = self.parameters(w_scale, 0, np.int8)
                inputs.append(self.node("DequantizeLinear", [self.constant(weights), *zeros], self.name("w")))
                bias_scale = self.parameters(self.scale * w_scale, 0, np.int32)
                inputs.append(self.node("DequantizeLinear", [self.constant(bias), *bias_scale], self.name("b")))
            real = self.node(op, inputs, self.name("r"), **attributes)
            if op == "Conv" and self.rng.random() < 0.5:
                real = self.node("Relu", [real], self.name("r"))
            self.node("QuantizeLinear", [real, *result], output)
        elif op == "Conv":
            weights, w_scale, bias = constants
            inputs = [self.here, *given, self.constant(weights), *self.parameters(w_scale, 0, np.int8), *result]
            self.node("QLinearConv", [*inputs, self.constant(bias)], output, **attributes)
        elif op == "Add":
            self.node("QLinearAdd", [self.here, *given, other, *given, *result], output)
        elif op == "AveragePool":
            self.node("QLinearAveragePool", [self.here, *given, *result], output, **attributes)
        else:
            self.node(op, [self.here], output, **attributes)
        self.here, self.shape, self.scale, self.zero = output, shape, scale, zero

    def pool(self) -> None:
        found = self.window(self.rng.randint(1, 3))
        if found is not None:
            kind = self.rng.choice(("MaxPool", "AveragePool"))
            self.operator(kind, None, self.scale, (self.shape[0], *found[1]), **found[0])

    def residual(self) -> None:
        """Convolutions that keep the size, added to what they started from."""
        before, shape, scale, zero = self.here, self.shape, self.scale, self.zero
        kernel = self.rng.choice((1, 3, 5))
        if kernel // 2 >= shape[2]:
            return
        half = kernel // 2
        weights = self.numbers.integers(-100, 101, (shape[0], shape[0], kernel, kernel)).astype(np.int8)
        bias = self.numbers.integers(-500, 500, shape[0]).astype(np.int32)
        attributes: dict[str, Any] = {"kernel_shape": [kernel, kernel], "pads": [half] * 4, "strides": [1, 1]}
        w_scale = 1 / (72 * kernel * float(np.sqrt(shape[0])))
        self.operator("Conv", (weights, w_scale, bias), scale, shape, **attributes)
        if self.zero != zero:
            # The sum takes both operands in one quantization here: bring the new one to the old one's.
            self.operator("Conv", (np.ones((shape[0], 1, 1, 1), np.int8), 1.0, bias * 0), scale, shape, group=shape[0])
            self.requantized(zero)
        self.operator("Add", None, 2 * scale, shape, before)

    def requantized(self, zero: int) -> None:
        """Changes the zero point of the tensor that was just made."""
        parameters = self.nodes[-1].input[2] if self.qdq else self.nodes[-1].input[7]
        for number, proto in enumerate(self.constants):
            if proto.name == parameters:
                self.constants[number] = numpy_helper.from_array(np.array(zero, self.dtype), parameters)
        self.zero = zero
