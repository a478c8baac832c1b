"""Which nodes of an ONNX file an operator of the graph stands for, found by the names of its tensors.

The reader keeps the names of integer tensors, and folds what lies between them (DequantizeLinear, Conv, Relu,
QuantizeLinear …) into one operator. So an operator is the nodes that lead from its operands to its output; no pass of
the reader has to remember anything.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mcuprof.graph import ABSENT, Graph, Op

# Nodes that take every row by itself, as long as constants beside it have one row (the graph's operands are checked).
ELEMENTS = frozenset(
    (
        *("QuantizeLinear", "DequantizeLinear", "Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Sigmoid", "HardSigmoid"),
        *("HardSwish", "Tanh", "Add", "Sub", "Mul", "Div", "Max", "Min", "BatchNormalization", "Identity", "Concat"),
        *("QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearConcat"),
    )
)
WINDOWS = frozenset(("Conv", "QLinearConv", "MaxPool", "AveragePool", "QLinearAveragePool"))


class Nodes:
    """The nodes of a parsed model (`readers.onnx.load.parse`), by what they make."""

    def __init__(self, model: Any, graph: Graph) -> None:
        self.model, self.graph = model, graph
        self.nodes: list[Any] = list(model.graph.node)
        self.producer = {name: number for number, node in enumerate(self.nodes) for name in node.output if name}
        self.constants = {proto.name for proto in model.graph.initializer}
        self.fixed: set[str] = set(self.constants)  # what no input has a part in
        pending = True
        while pending:
            pending = False
            for node in self.nodes:
                names = [name for name in node.output if name not in self.fixed]
                if names and all(name in self.fixed for name in node.input if name):
                    self.fixed |= set(names)
                    pending = True

    @cached_property
    def readers(self) -> dict[str, list[int]]:
        """Name → the nodes that read it."""
        found: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for name in node.input:
                found.setdefault(name, []).append(number)
        return found

    def of(self, op: Op) -> list[int]:
        """The nodes of a one-output operator that hang on its operands, and the DequantizeLinear beside them, in order.

        Raises LookupError with a reason where the file has no such nodes.
        """
        operands = {self.graph.tensors[index].name for index in op.inputs if index != ABSENT}
        found: set[int] = set()
        pending = [self.graph.tensors[op.outputs[0]].name]
        while pending:
            name = pending.pop()
            if name in self.constants or not name or (name in operands and name not in self.fixed):
                continue
            number = self.producer.get(name)
            if number is None:
                raise LookupError(
                    f"the file has no tensor {name!r}" if name not in self.inputs else f"it reads {name!r} too"
                )
            if number in found or (name in self.fixed and self.nodes[number].op_type != "DequantizeLinear"):
                continue
            found.add(number)
            pending += self.nodes[number].input
        return sorted(found, key=self.places.__getitem__)

    @cached_property
    def inputs(self) -> frozenset[str]:
        """The names of the model's inputs."""
        return frozenset(value.name for value in self.model.graph.input)

    @cached_property
    def places(self) -> dict[int, int]:
        """Node → its place in an order in which all can run."""
        done: dict[int, int] = {}
        for start in range(len(self.nodes)):
            path = [start]
            while path:
                needs = (self.producer.get(name) for name in self.nodes[path[-1]].input)
                missing = next((need for need in needs if need is not None and need not in done), None)
                if missing is None:
                    done.setdefault(path.pop(), len(done))
                else:
                    path.append(missing)  # the reader has refused circles
        return done

    def whole(self, op: Op) -> str:
        """Why the operator cannot be run on stripes of its operands; empty where it can."""
        try:
            numbers = self.of(op)
        except LookupError as error:
            return str(error)
        nodes = [self.nodes[number] for number in numbers]
        windows = [node for node in nodes if node.op_type in WINDOWS]
        other = next((node for node in nodes if node.op_type not in ELEMENTS | WINDOWS), None)
        if other is not None or not nodes:
            return f"it is made of {other.op_type}" if other is not None else "it is constant"
        if len(windows) > 1 or any(
            _attribute(node, "ceil_mode") or _attribute(node, "channels_last") for node in windows
        ):
            return "its windows are rounded up, are several, or lie in channels-last order"
        inner = {name for node in nodes for name in node.output if name} - {self.graph.tensors[op.outputs[0]].name}
        if inner & {output.name for output in self.model.graph.output}:
            return "a tensor inside it leaves the model"
        return ""


def _attribute(node: Any, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)
