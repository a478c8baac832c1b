"""Small random ONNX networks with dead channels, in QDQ or QOperator form: biases that no weight can outweigh."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from onnx import helper

from tests.rewrites.onnx_networks import Growing

_LOW = -128
_SCALE, _WEIGHT = 0.05, 0.01


def dead_network(seed: int, *, qdq: bool) -> bytes:
    """The file of network number `seed`: convolutions, depthwise ones, an addition, a pool, a dense layer."""
    return _Network(random.Random(seed), np.random.default_rng(seed), qdq=qdq).file()


class _Network(Growing):
    """`here` is the last tensor, int8 with its zero point at the bottom of the range; `channels` how many it has."""

    def __init__(self, rng: random.Random, numbers: np.random.Generator, *, qdq: bool) -> None:
        super().__init__(np.int8)
        self.rng, self.numbers, self.qdq = rng, numbers, qdq
        self.here, self.channels = "x", 3

    def file(self) -> bytes:
        for _ in range(self.rng.randint(2, 4)):
            self.rng.choice((self.plain, self.depthwise, self.residual))()
        self.plain()
        domain = "com.microsoft"
        pooled = self.name("t")
        ends = [*self.zero(), *self.zero()]
        if self.qdq:
            real = self.node("GlobalAveragePool", [self.real(self.here)])
            self.nodes.append(helper.make_node("QuantizeLinear", [real, *self.zero()], [pooled]))
        else:
            inputs = [self.here, *ends]
            made = helper.make_node("QLinearGlobalAveragePool", inputs, [pooled], domain=domain, channels_last=0)
            self.nodes.append(made)
        shape = self.constant(np.array([1, self.channels], np.int64))
        flat = self.node("Reshape", [self.real(pooled) if self.qdq else pooled, shape])
        if self.qdq:
            flat = self.node("QuantizeLinear", [flat, *self.zero()])
        weights = self.numbers.integers(-100, 100, (4, self.channels)).astype(np.int8)
        bias = self.numbers.integers(-500, 500, 4).astype(np.int32)
        if self.qdq:
            operands = [self.real(flat), *self.real_weights(weights, bias)]
            real = self.node("Gemm", operands, transB=1)
            self.nodes.append(helper.make_node("QuantizeLinear", [real, *self.zero()], ["y"]))
        else:
            kind = [self.constant(weights), *self.parameters(_WEIGHT, 0), self.constant(bias)]
            inputs = [flat, *self.zero(), *kind, *self.zero()]
            self.nodes.append(helper.make_node("QGemm", inputs, ["y"], domain=domain, transB=1))
        int8 = helper.np_dtype_to_tensor_dtype(np.dtype(np.int8))
        graph = helper.make_graph(
            self.nodes,
            "dead",
            [helper.make_tensor_value_info("x", int8, (1, 3, 9, 7))],
            [helper.make_tensor_value_info("y", int8, (1, 4))],
            self.constants,
        )
        imports = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
        data: bytes = helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()
        return data

    def plain(self) -> None:
        self.convolution(self.rng.randint(3, 9), 1)

    def depthwise(self) -> None:
        self.convolution(self.channels, self.channels)

    def residual(self) -> None:
        """Two convolutions of the same tensor, added: a channel goes where both are constant."""
        before, channels = self.here, self.channels
        count = self.rng.randint(3, 6)
        fates = self.fates(count)
        sides = []
        for _ in range(2):
            self.here, self.channels = before, channels
            self.convolution(count, 1, kernel=1, fates=fates)
            sides.append(self.here)
        if self.qdq:
            self.here = self.quantized(self.node("Add", [self.real(side) for side in sides]))
        else:
            inputs = [sides[0], *self.zero(), sides[1], *self.zero(), *self.zero()]
            self.here = self.node("QLinearAdd", inputs, domain="com.microsoft")

    def fates(self, count: int) -> Any:
        """Per channel: −1 always the lowest value, 1 always the highest, 0 alive."""
        return self.numbers.choice([-1, -1, 0, 0, 0, 1], count)

    def convolution(self, count: int, groups: int, kernel: int = 0, fates: Any = None) -> None:
        kernel = kernel or self.rng.choice((1, 3))
        pad = kernel // 2
        weights = self.numbers.integers(-100, 100, (count, self.channels // groups, kernel, kernel)).astype(np.int8)
        fates = self.fates(count) if fates is None else fates
        bias = self.numbers.integers(0, 20_000, count)
        bias = (bias + fates * 10_000_000).astype(np.int32)
        attributes = {"pads": [pad] * 4, "group": groups}
        if self.qdq:
            self.here = self.quantized(
                self.node("Conv", [self.real(self.here), *self.real_weights(weights, bias)], **attributes)
            )
        else:
            per_channel = self.rng.random() < 0.5
            scale = np.full(count, _WEIGHT, np.float32) if per_channel else np.float32(_WEIGHT)
            zeros = np.zeros(count, np.int8) if per_channel else np.int8(0)
            constants = [self.constant(weights), self.constant(scale), self.constant(zeros)]
            inputs = [self.here, *self.zero(), *constants, *self.zero(), self.constant(bias)]
            self.here = self.node("QLinearConv", inputs, **attributes)
        self.channels = count

    def zero(self) -> list[str]:
        """The quantization that all activations have."""
        return self.parameters(_SCALE, _LOW)

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        output = self.name("t")
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def real(self, name: str) -> str:
        return self.node("DequantizeLinear", [name, *self.zero()])

    def quantized(self, name: str) -> str:
        return self.node("QuantizeLinear", [name, *self.zero()])

    def real_weights(self, weights: Any, bias: Any) -> list[str]:
        """Per tensor or per channel, behind DequantizeLinear."""
        count = len(bias)
        per_channel = self.rng.random() < 0.5
        found = []
        for array, scale in ((weights, _WEIGHT), (bias, _SCALE * _WEIGHT)):
            scales = np.full(count, scale, np.float32) if per_channel else np.float32(scale)
            zeros = np.zeros(count if per_channel else (), array.dtype)
            names = [self.constant(array), self.constant(scales), self.constant(zeros)]
            found.append(self.node("DequantizeLinear", names, **({"axis": 0} if per_channel else {})))
        return found
