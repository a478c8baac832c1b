"""QDQ style → integer operators.

A DequantizeLinear before and a QuantizeLinear behind an operator mean that the operator works on integers. Scales and
zero points move to the tensors; operators that only move or select elements (MOVES) work on the integers as they are,
so a DequantizeLinear in front of one may go behind it; the others (COMPUTED) become integer operators when all their
float inputs are dequantized and all their results are quantized. What remains are float islands of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mcuprof.graph import Quantization, Tensor
from mcuprof.readers.onnx.bias import int32_bias
from mcuprof.readers.onnx.evaluate import evaluate
from mcuprof.readers.onnx.net import ABSENT, Net, Node
from mcuprof.readers.onnx.qoperator import attach, parameters
from mcuprof.readers.onnx.simplify import INTEGER_RANGE, simplify

MOVES = frozenset(
    (
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Transpose", "Slice", "Split", "Gather"),
        *("GatherElements", "GatherND", "Expand", "Tile", "DepthToSpace", "SpaceToDepth", "MaxPool", "GlobalMaxPool"),
        *("Pad",),
    )
)
COMPUTED = frozenset(
    (
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Max", "Min", "Concat", "Resize"),
        *("Upsample", "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"),
        *("Softmax", "LogSoftmax", "Sigmoid", "Tanh", "Relu", "LeakyRelu", "PRelu", "Elu", "HardSwish", "HardSigmoid"),
        *("Clip", "Gelu", "Abs", "Neg", "Exp", "Sqrt"),
    )
)
_BIASED = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
# Constants may be integers with a scale here although the operator works on floats (weight-only quantization).
_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(_BIASED, (1, 2)),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1, 2, 3)),
}
_FLOAT_PARAMETERS = {("Clip", 1), ("Clip", 2), ("Resize", 1), ("Resize", 2), ("Upsample", 1)}


def fuse(net: Net) -> None:
    """Rewrites the net in place: simplified, fused, dead operators swept, in topological order."""
    unused = net.sweep()
    if unused:
        net.note("operators whose results nobody uses were left out")
    fuser = _Fuser(net)
    fuser.absorb()
    simplify(net, fuser.constant_dequantizer)
    for node in list(net.nodes):
        fuser.visit(node)
    fuser.keep_integer_weights()
    net.sweep()
    net.sort()
    _spread(net)


def _spread(net: Net) -> None:
    """Quantization of a moved tensor where the file names it only before or behind the move (QOperator style)."""
    for node in net.nodes:
        if (node.op in MOVES or _joins_alike(net, node)) and not node.domain and node.input(0):
            source = net.values[node.inputs[0]]
            for name in node.outputs:
                made = net.values.get(name)
                if made is not None and made.quantization is None and made.dtype is source.dtype:
                    known = source.quantization
                    net.values[name] = made if known is None or known.per_channel else replace(made, quantization=known)


def _joins_alike(net: Net, node: Node) -> bool:
    """A Concat of tensors of one quantization moves them, too."""
    return node.op == "Concat" and len({(v.dtype, v.quantization) for v in map(net.values.get, node.inputs) if v}) == 1


class _Fuser:
    def __init__(self, net: Net) -> None:
        self.net = net
        self.known: dict[Node, Quantization] = {}

    def absorb(self) -> None:
        """Moves constant scales and zero points from the operators to the integer tensors."""
        for node in self.net.nodes:
            if (
                node.op not in ("QuantizeLinear", "DequantizeLinear")
                or node.domain
                or not (node.input(0) and node.input(1))
            ):
                continue
            rank = len(self.net.values[node.inputs[0]].shape)
            axis = node.integer("axis", 1)
            axis = axis + rank if axis < 0 else axis
            found = parameters(
                self.net, node.inputs[1], node.input(2), axis, node.integer("block_size"), what=str(node)
            )
            if found is None:
                continue
            integer = node.inputs[0] if node.op == "DequantizeLinear" else node.outputs[0]
            name = attach(self.net, integer, found)
            if self.net.values[name].quantization == found:
                self.known[node] = found
                self.net.set_inputs(node, [name if node.op == "DequantizeLinear" else node.inputs[0]])

    def dequantizer(self, name: str) -> Node | None:
        """The DequantizeLinear with known parameters that makes `name`."""
        made = self.net.producer.get(name)
        return made if made in self.known and made is not None and made.op == "DequantizeLinear" else None

    def constant_dequantizer(self, name: str) -> Node | None:
        """The same, if what it reads is a constant."""
        made = self.dequantizer(name)
        return made if made is not None and self.net.values[made.inputs[0]].is_constant else None

    def quantizers(self, name: str) -> list[Node]:
        """The QuantizeLinear nodes with known parameters that read `name`; those that leave the net first."""
        readers = [node for node in self.net.readers(name) if node.op == "QuantizeLinear" and node in self.known]
        return sorted(readers, key=lambda node: not self.net.leaves(node.outputs[0]))

    def visit(self, node: Node) -> None:
        if node.domain or not node.outputs:
            return
        if node.op == "QuantizeLinear":
            self.requantize(node)
        elif node.op in MOVES:
            self.move(node)
        elif node.op in COMPUTED:
            self.compute(node)

    # DequantizeLinear directly before QuantizeLinear ------------------------------------------------------------------

    def requantize(self, node: Node) -> None:
        made = self.dequantizer(node.inputs[0]) if node in self.known else None
        if made is None:
            return
        source, target = made.inputs[0], node.outputs[0]
        if self.same(source, target) and not self.net.leaves(target):
            self.net.redirect(target, source)
            self.net.drop(node)
        else:
            self.net.set_input(node, 0, source)

    def same(self, a: str, b: str) -> bool:
        left, right = self.net.values[a], self.net.values[b]
        return left.dtype is right.dtype and left.quantization == right.quantization

    # Moves ------------------------------------------------------------------------------------------------------------

    def move(self, node: Node) -> None:
        """Lets the move work on the integers and dequantizes its result, where anybody still wants floats."""
        made = self.dequantizer(node.input(0))
        if made is None:
            return
        source, known = made.inputs[0], self.known[made]
        if self.net.values[source].is_constant and self.move_constant(node, source, known):
            return
        wanted = [name for name in node.outputs if name != ABSENT and (self.net.readers(name) or self.net.leaves(name))]
        if known.per_channel or not wanted or (node.op != "Split" and wanted != node.outputs[:1]):
            return
        if any(not self.net.readers(name) for name in wanted) or not self.pad_value(node, source, known):
            return  # results that only leave the net stay as the file has them
        self.net.set_input(node, 0, source)
        for index, name in enumerate(node.outputs):
            if name in wanted:
                self.write_integer(node, index, replace(self.net.values[source], shape=self.net.values[name].shape))

    def write_integer(self, node: Node, index: int, like: Tensor) -> None:
        """Output `index` becomes an integer tensor like `like`, dequantized for whoever reads it as float."""
        name = node.outputs[index]
        matching = [
            reader
            for reader in self.quantizers(name)
            if self.known[reader] == like.quantization and self.net.values[reader.outputs[0]].dtype is like.dtype
        ]
        target = matching[0].outputs[0] if matching else self.net.fresh(f"{name}_quantized")
        self.net.values[target] = replace(like, name=target, data=None)
        self.take_over(node, index, target, matching)
        if self.net.readers(name) or self.net.leaves(name):
            self.add_dequantizer(node, target, name)

    def take_over(self, node: Node, index: int, target: str, quantizers: list[Node]) -> None:
        """`node` writes what the first of `quantizers` wrote; the others' readers read that too."""
        for reader in quantizers:
            written = reader.outputs[0]
            if written == target:
                self.net.drop(reader)
            elif not self.net.leaves(written):
                self.net.redirect(written, target)
                self.net.drop(reader)
        self.net.set_output(node, index, target)

    def add_dequantizer(self, node: Node, integer: str, name: str) -> None:
        made = Node("DequantizeLinear", [integer], [name], node.position, source="DequantizeLinear")
        known = self.net.values[integer].quantization
        assert known is not None
        self.known[self.net.add(made)] = known

    def move_constant(self, node: Node, source: str, known: Quantization) -> bool:
        """Moves the constant itself, if it can be done now."""
        if len(node.outputs) != 1 or self.net.leaves(node.outputs[0]):
            return False
        if known.per_channel:
            perm = node.integers("perm") or tuple(reversed(range(len(self.net.values[source].shape))))
            if node.op != "Transpose" or known.block or known.axis not in perm:
                return False
            known = replace(known, axis=perm.index(known.axis))
        before = node.inputs[0]
        self.net.set_input(node, 0, source)
        arrays = evaluate(self.net, node)
        if arrays is None or len(arrays) != 1:
            self.net.set_input(node, 0, before)
            return False
        name, dtype = node.outputs[0], self.net.values[source].dtype
        constant = self.net.add_constant(f"{source}_{node.op.lower()}", arrays[0], known, dtype)
        self.net.drop(node)
        self.add_dequantizer(node, constant, name)
        return True

    def pad_value(self, node: Node, source: str, known: Quantization) -> bool:
        """Quantizes the value that a Pad writes; False when it is computed."""
        if node.op != "Pad" or node.input(2) == ABSENT:
            return node.op != "Pad" or node.number("value") == 0.0
        value = self.net.constant(node.inputs[2])
        if value is None or value.size != 1 or not known.scale[0]:
            return False
        dtype = self.net.values[source].dtype
        if not dtype.is_integer:
            return False
        stored = np.clip(np.rint(value / known.scale[0]) + known.zero_point[0], *INTEGER_RANGE[dtype]).astype(np.int64)
        self.net.set_input(node, 2, self.net.add_constant(f"{node.inputs[2]}_quantized", stored, known, dtype))
        return True

    # Computing operators ----------------------------------------------------------------------------------------------

    def compute(self, node: Node) -> None:
        """Turns the operator into an integer one, if all its float inputs and outputs are quantized."""
        result = node.outputs[0]
        readers = self.quantizers(result)
        if not readers or len(readers) < len(self.net.readers(result)) or self.net.leaves(result):
            return
        if any(self.net.readers(name) or self.net.leaves(name) for name in node.outputs[1:]):
            return
        written = [reader.outputs[0] for reader in readers]
        if any(not self.same(written[0], name) for name in written) or any(map(self.net.leaves, written[1:])):
            return
        inputs = self.integer_inputs(node)
        if inputs is None:
            return
        self.net.set_inputs(node, inputs)
        self.take_over(node, 0, written[0], readers)

    def integer_inputs(self, node: Node) -> list[str] | None:
        """The inputs as integers; None when one of them is a float that is not quantized."""
        inputs = list(node.inputs)
        computed = 0
        for index, name in enumerate(inputs):
            if name == ABSENT or not self.net.values[name].dtype.is_float or (node.op, index) in _FLOAT_PARAMETERS:
                continue
            if index == 2 and node.op in _BIASED:
                made = self.constant_dequantizer(name)
                stored = made.inputs[0] if made is not None else name
                bias = int32_bias(self.net, stored, self.known[made] if made else None, inputs[0], inputs[1])
                if bias is None:
                    return None
                inputs[2] = bias
                continue
            made = self.dequantizer(name)
            if made is None:
                return None
            inputs[index] = made.inputs[0]
            constant = self.net.values[made.inputs[0]].is_constant
            computed += not constant
            if self.known[made].per_channel and not constant:
                return None
        return inputs if computed else None

    # Weights of operators that stay float -----------------------------------------------------------------------------

    def keep_integer_weights(self) -> None:
        """Weights stay the integers they are in the file, also where the operator works on floats."""
        for node in list(self.known):
            if node.op != "DequantizeLinear" or not node.inputs or not self.net.values[node.inputs[0]].is_constant:
                continue
            for reader in self.net.readers(node.outputs[0]):
                for index in _WEIGHTS.get(reader.op, ()) if not reader.domain else ():
                    if reader.input(index) == node.outputs[0]:
                        self.net.set_input(reader, index, node.inputs[0])
