"""A split graph as an ONNX file: Slice, the original's own nodes once per stripe, Concat along rows.

Quantized tensors are sliced and joined, so every stripe has DequantizeLinear, operator and QuantizeLinear of its own;
ONNX Runtime on x86 fuses fewer of them where they are int8. Initializers (weights, scales) are shared. Tensors that are
whole keep their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, Graph, Op
from mcuprof.writers.onnx_nodes import WINDOWS, Nodes

_ROWS = 2  # axis of NCHW


def refusal(model: Any, graph: Graph) -> str:
    """Why the file cannot be written anew; empty where it can."""
    if graph.subgraphs:
        return "it has If, Loop or Scan, whose bodies may read any tensor"
    if any(proto.data_location for proto in model.graph.initializer):
        return "its weights lie in other files"
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    return "" if opset >= 10 else f"opset {opset} has another Slice (10 or later is needed)"


def striped(model: Any, nodes: Nodes, split: Graph, origins: Sequence[int | None], tensors: Mapping[int, int]) -> bytes:
    """`model` with the operators of `split`, the image of a split graph, in place of those of `nodes.graph`.

    `origins` and `tensors` as in `rewrites.split.Split`. Raises ModelError where the file cannot hold it.
    """
    if reason := refusal(model, nodes.graph):
        raise ModelError(f"cannot be written in stripes: {reason}")
    return _Writer(model, nodes, split, origins, tensors).write()


class _Writer:
    def __init__(
        self, model: Any, nodes: Nodes, split: Graph, origins: Sequence[int | None], tensors: Mapping[int, int]
    ) -> None:
        self.model, self.nodes, self.split, self.origins, self.tensors = model, nodes, split, origins, tensors
        self.made: list[Any] = []
        self.done: set[int] = set()
        taken = {name for node in nodes.nodes for name in (*node.input, *node.output)} | nodes.constants
        self.names: dict[int, str] = {}
        self.taken = taken
        for index, tensor in enumerate(split.tensors):
            whole = tensors.get(index)
            self.names[index] = self.fresh(tensor.name) if whole is None else nodes.graph.tensors[whole].name
        self.joined = {
            self.names[op.outputs[0]] for op, origin in zip(split.ops, origins, strict=True) if origin is None
        }
        self.numbers: dict[tuple[int, ...], str] = {}

    def fresh(self, hint: str) -> str:
        name, number = hint, 1
        while name in self.taken:
            number += 1
            name = f"{hint}#{number}"
        self.taken.add(name)
        return name

    def write(self) -> bytes:
        import onnx

        for op, origin in zip(self.split.ops, self.origins, strict=True):
            if origin is None:
                self.slice(op) if op.kind == "SLICE" else self.join(op)
            elif all(index == ABSENT or index in self.tensors for index in op.outputs):
                for index in op.outputs:
                    if index != ABSENT:
                        self.need(self.names[index])
            else:
                self.stripe(op, self.nodes.graph.ops[origin])
        for output in self.model.graph.output:
            self.need(output.name)
        written = onnx.ModelProto()
        written.CopyFrom(self.model)
        del written.graph.node[:]
        written.graph.node.extend(self.made)
        written.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.array(values, np.int64), name) for values, name in self.numbers.items()
        )
        self.forget(written.graph)
        return bytes(written.SerializeToString(deterministic=True))

    def forget(self, graph: Any) -> None:
        """Takes out what nobody reads any more: types of tensors that are gone, initializers of dead nodes."""
        names = {name for node in graph.node for name in (*node.input, *node.output)}
        names |= {value.name for value in (*graph.input, *graph.output)}
        for field in (graph.value_info, graph.initializer):
            kept = [entry for entry in field if entry.name in names]
            del field[:]
            field.extend(kept)

    def need(self, name: str) -> None:
        """Appends the original's nodes that make `name`, those they need first; a joined tensor is there already."""
        pending, found = [name], set()
        while pending:
            current = pending.pop()
            number = self.nodes.producer.get(current)
            if number is None or current in self.joined or number in self.done or number in found:
                continue
            found.add(number)
            pending += self.nodes.nodes[number].input
        for number in sorted(found, key=self.nodes.places.__getitem__):
            self.done.add(number)
            self.made.append(self.nodes.nodes[number])

    def stripe(self, op: Op, source: Op) -> None:
        """The nodes of `source`, on the rows that `op` has."""
        import onnx

        graph = self.nodes.graph
        renamed = {
            graph.tensors[there].name: self.names[here]
            for here, there in zip(op.inputs, source.inputs, strict=True)
            if there != ABSENT and not graph.tensors[there].is_constant
        }
        output, made = graph.tensors[source.outputs[0]].name, self.names[op.outputs[0]]
        numbers = self.nodes.of(source)
        for number in numbers:
            for name in self.nodes.nodes[number].output:
                if name:
                    renamed[name] = made if name == output else self.fresh(f"{made}/{self.nodes.nodes[number].op_type}")
        for number in numbers:
            node = onnx.NodeProto()
            node.CopyFrom(self.nodes.nodes[number])
            inputs, outputs = ([renamed.get(name, name) for name in side] for side in (node.input, node.output))
            for name in inputs:
                if name in self.nodes.fixed:
                    self.need(name)
            del node.input[:], node.output[:]
            node.input.extend(inputs)
            node.output.extend(outputs)
            node.name = f"{made}/{node.op_type}{len(self.made)}" if node.name else ""
            if node.op_type in WINDOWS:
                _set_pads(node, op)
            self.made.append(node)

    def slice(self, op: Op) -> None:
        import onnx

        begin, size = (self.split.input(op, position).array().tolist() for position in (1, 2))
        ends = (begin[1], begin[1] + size[1], _ROWS)
        names = [self.names[op.inputs[0]], *(self.constant(value) for value in ends)]
        self.made.append(onnx.helper.make_node("Slice", names, [self.names[op.outputs[0]]]))

    def join(self, op: Op) -> None:
        import onnx

        pieces = [self.names[index] for index in op.inputs]
        self.made.append(onnx.helper.make_node("Concat", pieces, [self.names[op.outputs[0]]], axis=_ROWS))

    def constant(self, value: int) -> str:
        """An int64 initializer of one element; equal ones are one."""
        if (value,) not in self.numbers:
            self.numbers[(value,)] = self.fresh(f"row{value}")
        return self.numbers[(value,)]


def _set_pads(node: Any, op: Op) -> None:
    """The padding of this stripe, which `op` has worked out, in place of whatever the node said."""
    import onnx

    kept = [attribute for attribute in node.attribute if attribute.name not in ("pads", "auto_pad")]
    del node.attribute[:]
    node.attribute.extend(kept)
    pads = op.integers("pads", (0, 0, 0, 0)) if op.text("padding") == "EXPLICIT" else (0, 0, 0, 0)
    node.attribute.append(onnx.helper.make_attribute("pads", pads))
