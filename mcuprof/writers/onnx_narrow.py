"""An ONNX file with fewer channels: new initializers where weights, scales or biases lose some, all other nodes kept.

Initializers and DequantizeLinear of weights may be shared, so what changes is written anew under a name of its own;
what nobody reads then goes. Tensors keep their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcuprof.graph import Op
from mcuprof.ops.kernel import Array
from mcuprof.ops.narrowing import Narrowing, channel_axis
from mcuprof.writers.onnx_nodes import ELEMENTS, Nodes

# Positions of a product's weights (scale and zero point follow) and bias; those of float operators are dequantized.
_INTEGER = {"QLinearConv": (3, 8), "QGemm": (3, 6), "QLinearMatMul": (3, 99)}
_FLOAT = {"Conv": (1, 2), "Gemm": (1, 2), "MatMul": (1, 99)}
_POOLS = ("MaxPool", "AveragePool", "QLinearAveragePool", "GlobalAveragePool", "QLinearGlobalAveragePool")
_VIEWS = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze")
_KNOWN = frozenset((*_INTEGER, *_FLOAT, *_POOLS, *_VIEWS, *ELEMENTS, "ReduceMean", "ReduceMax", "ReduceMin"))
_SHAPED = (*_VIEWS, "ReduceMean", "ReduceMax", "ReduceMin")  # constants of these say where, not what

Mask = NDArray[np.bool_]


class Narrower:
    """Narrows the operators of one parsed file (`nodes.model`)."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes, self.graph = nodes, nodes.graph
        self.contents = {proto.name: proto for proto in nodes.model.graph.initializer if proto.name not in nodes.inputs}
        self.parts: list[list[int]] = []
        for op in self.graph.ops:
            try:
                self.parts.append(nodes.of(op) if len(op.outputs) == 1 else [])
            except LookupError:
                self.parts.append([])
        inner = (self.nodes.nodes[number].op_type != "DequantizeLinear" for part in self.parts for number in part)
        numbers = (number for part in self.parts for number in part)
        self.uses = Counter(number for number, other in zip(numbers, inner, strict=True) if other)
        self.covered = {number for part in self.parts for number in part}
        self.leaving = {output.name for output in nodes.model.graph.output}

    def unable(self, index: int) -> str:
        """Why the operator with this index must keep its channels; empty where it need not."""
        part = self.parts[index]
        if not part:
            return "its nodes are not found"
        own = self.graph.tensors[self.graph.ops[index].outputs[0]].name
        for node in (self.nodes.nodes[number] for number in part):
            if node.op_type not in _KNOWN:
                return f"it is made of {node.op_type}"
            if any(name != own and name in self.leaving for name in node.output):
                return "a tensor inside it leaves the model"
            if any(number not in self.covered for name in node.output for number in self.nodes.readers.get(name, ())):
                return "a node that is no operator of the graph (Shape, say) reads from it"
            if node.op_type == "Squeeze" and len(node.input) < 2 and not node.attribute:
                return "a Squeeze without axes"
        if any(self.uses[number] > 1 for number in part):
            return "it shares a node with another operator"
        return self._constants(index)

    def _constants(self, index: int) -> str:
        weights = self.places(index)
        if isinstance(weights, str):
            return weights
        known = {number for number in (weights or {}).values() if number >= 0}
        for number in self.parts[index]:
            node = self.nodes.nodes[number]
            if number in known or node.op_type in _SHAPED:
                continue
            for name in node.input:
                if name not in self.nodes.fixed or (node.op_type in _FLOAT and self.nodes.producer.get(name) in known):
                    continue
                content = self.contents.get(name)
                if content is None or np.prod(content.dims, dtype=np.int64) > 1:
                    return f"{node.op_type} has a constant per channel, or one that a node makes"
        return ""

    def places(self, index: int) -> dict[str, int] | str | None:
        """Of a product: its node, and those that dequantize weights and bias (−1: none); a reason if they do not fit.

        None for operators without weights.
        """
        found = [number for number in self.parts[index] if self.nodes.nodes[number].op_type in (_INTEGER | _FLOAT)]
        if not found:
            return None
        if len(found) > 1:
            return "several products are one operator"
        node = self.nodes.nodes[found[0]]
        places = {"product": found[0], "weights": -1, "bias": -1}
        for role, position in zip(("weights", "bias"), (_INTEGER | _FLOAT)[node.op_type], strict=True):
            if position >= len(node.input) or not node.input[position]:
                continue
            name = node.input[position]
            if node.op_type in _FLOAT:
                places[role] = self.nodes.producer.get(name, -1)
                maker = self.nodes.nodes[places[role]] if places[role] >= 0 else None
                if maker is None or maker.op_type != "DequantizeLinear":
                    return f"its {role} are not initializers behind DequantizeLinear"
                names = list(maker.input)
            else:
                names = [name, *(node.input[position + 1 : position + 3] if role == "weights" else ())]
            if any(each and each not in self.contents for each in names):
                return f"its {role} are no initializers"
            if any(each and len(self.contents[each].dims) > 1 for each in names[1:]):
                return f"its {role} are scaled in blocks"
        if any(attribute.name == "transA" and attribute.i for attribute in node.attribute):
            return "it transposes its input"
        return places

    def narrowed(self, narrowing: Narrowing) -> bytes:
        """The file without the channels that can go; all operators that lose any must be able to."""
        return _Writer(self, narrowing).write()


class _Writer:
    def __init__(self, narrower: Narrower, narrowing: Narrowing) -> None:
        self.narrower, self.narrowing = narrower, narrowing
        self.graph = narrower.graph
        self.written = type(narrower.nodes.model)()
        self.written.CopyFrom(narrower.nodes.model)
        self.file: Any = self.written.graph
        self.nodes = list(self.file.node)  # as numbered by Nodes
        self.taken = {name for node in self.nodes for name in (*node.input, *node.output)} | set(narrower.contents)
        self.first: list[Any] = []
        self.stale: set[str] = set()

    def write(self) -> bytes:
        for index, op in enumerate(self.graph.ops):
            if any(tensor in self.narrowing.tensors for tensor in (*op.inputs, *op.outputs)):
                self.operator(index, op)
        leaving = self.narrower.leaving
        read = {name for node in (*self.first, *self.nodes) for name in node.input} | leaving
        kept = [
            node for node in (*self.first, *self.nodes) if node.op_type != "DequantizeLinear" or read & set(node.output)
        ]
        read = {name for node in kept for name in node.input} | {value.name for value in self.file.input} | leaving
        _replace(self.file.node, kept)
        _replace(self.file.initializer, [proto for proto in self.file.initializer if proto.name in read])
        _replace(self.file.value_info, [value for value in self.file.value_info if value.name not in self.stale])
        return bytes(self.written.SerializeToString(deterministic=True))

    def mask(self, tensor: int) -> Mask:
        kept = self.narrowing.tensors.get(tensor)
        content = self.graph.tensors[tensor]
        return kept.mask if kept else np.ones(content.shape[channel_axis(content)], np.bool_)

    def operator(self, index: int, op: Op) -> None:
        part = self.narrower.parts[index]
        for number in part:
            self.stale |= set(self.nodes[number].output)
            if self.nodes[number].op_type == "Reshape":
                self.reshape(self.nodes[number], op)
        places = self.narrower.places(index)
        if isinstance(places, dict):
            self.product(places, op, self.narrowing.folded.get(index))

    def reshape(self, node: Any, op: Op) -> None:
        kept = self.narrowing.tensors[op.outputs[0]]
        shape = list(self.graph.output(op).shape)
        shape[kept.axis] = int(kept.mask.sum())
        node.input[1] = self.constant(np.array(shape, np.int64), node.input[1])

    def product(self, places: Mapping[str, int], op: Op, folded: Array | None) -> None:
        node = self.nodes[places["product"]]
        x, out = self.mask(op.inputs[0]), self.mask(op.outputs[0])
        where, bias_at = (_INTEGER | _FLOAT)[node.op_type]
        holder, start = (node, where) if places["weights"] < 0 else (self.copied(node, where, places["weights"]), 0)
        weights = self.content(holder.input[start])
        outputs = 0 if _by_rows(node) else weights.ndim - 1
        if op.kind == "DEPTHWISE_CONV_2D":
            weights = weights[out]
            for attribute in node.attribute:
                if attribute.name == "group":
                    attribute.i = int(x.sum())
        else:
            inputs = 1 if outputs == 0 else 0
            repeated = np.resize(x, weights.shape[inputs])
            weights = np.compress(repeated, np.compress(out, weights, outputs), inputs)
        holder.input[start] = self.constant(weights, holder.input[start])
        self.per_output(holder, (start + 1, start + 2), out)
        if bias_at < len(node.input) and node.input[bias_at]:
            holder, start = (node, bias_at) if places["bias"] < 0 else (self.copied(node, bias_at, places["bias"]), 0)
            bias = self.content(holder.input[start])
            gain = 0 if folded is None else folded.reshape(-1)
            full = (np.broadcast_to(bias.reshape(-1), len(out)).astype(np.int64) + gain)[out]
            shape = (*bias.shape[:-1], len(full)) if bias.ndim else (len(full),)
            holder.input[start] = self.constant(full.astype(bias.dtype).reshape(shape), holder.input[start])
            if places["bias"] >= 0:
                self.per_output(holder, (1, 2), out)

    def per_output(self, holder: Any, positions: tuple[int, ...], out: Mask) -> None:
        """Scales and zero points that go with the outputs lose the same of them."""
        for position in positions:
            if position < len(holder.input) and holder.input[position]:
                values = self.content(holder.input[position])
                if values.ndim == 1 and len(values) == len(out) > 1:
                    holder.input[position] = self.constant(values[out], holder.input[position])

    def copied(self, node: Any, position: int, number: int) -> Any:
        """A DequantizeLinear of its own for this input of the node; initializers are all that it reads."""
        source = self.narrower.nodes.nodes[number]
        made = type(source).FromString(source.SerializeToString(deterministic=True))
        made.output[0] = self.fresh(source.output[0])
        made.name = made.output[0] if made.name else ""
        node.input[position] = made.output[0]
        self.first.append(made)
        return made

    def content(self, name: str) -> Array:
        from onnx import numpy_helper

        array: Array = numpy_helper.to_array(self.narrower.contents[name])
        return array

    def constant(self, values: Array, hint: str) -> str:
        from onnx import numpy_helper

        name = self.fresh(hint)
        self.file.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def fresh(self, hint: str) -> str:
        number, name = 2, f"{hint}#narrow"
        while name in self.taken:
            name, number = f"{hint}#narrow{number}", number + 1
        self.taken.add(name)
        return name


def _replace(field: Any, entries: list[Any]) -> None:
    """The field with these entries, some of which may lie in it (clearing it would empty them)."""
    copies = [type(entry).FromString(entry.SerializeToString(deterministic=True)) for entry in entries]
    del field[:]
    field.extend(copies)


def _by_rows(node: Any) -> bool:
    """Whether axis 0 of the weights is that of the outputs."""
    turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return turned or node.op_type in ("Conv", "QLinearConv")
