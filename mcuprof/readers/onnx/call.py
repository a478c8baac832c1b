"""What a converter makes of a node, and helpers that converters share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import Attribute
from mcuprof.readers.onnx.net import ABSENT, Net, Node


@dataclass(frozen=True)
class Call:
    """An operator in TFLite's terms: its kind, the names of its inputs, its attributes."""

    kind: str
    inputs: list[str]
    attributes: dict[str, Attribute] = field(default_factory=dict)


Converter = Callable[[Node, Net], Call | None]
"""Gives None where the node has no exact counterpart: it then stays under its ONNX name."""

Table = Mapping[str, Converter]


def renamed(kind: str, *kept: str) -> Converter:
    """A converter that only changes the name and keeps the inputs; of the attributes only those in `kept`."""

    def convert(node: Node, net: Net) -> Call:
        return Call(kind, node.inputs, {name: node.attributes[name] for name in kept if name in node.attributes})

    return convert


def first_input(kind: str) -> Converter:
    """A converter that keeps the first input only."""
    return lambda node, net: Call(kind, [need(node, 0)])


def need(node: Node, index: int) -> str:
    """The name of input `index`. Raises ModelError when it is missing."""
    name = node.input(index)
    if name == ABSENT:
        raise ModelError(f"{node} has no input {index}")
    return name


def axis_of(node: Node, net: Net, default: int, index: int = 0, extra: int = 0) -> int:
    """The attribute `axis`, counted from the front, for input `index`. Raises ModelError when there is no such axis."""
    rank = len(net.values[need(node, index)].shape) + extra
    axis = node.integer("axis", default)
    if not -rank <= axis < max(rank, 1):
        raise ModelError(f"{node} works along axis {axis} of {rank}")
    return axis % rank if rank else 0


def listed(node: Node, net: Net, index: int, attribute: str) -> tuple[int, ...] | None:
    """Integers that newer opsets take as constant input `index` and older ones as attribute; () where there are none.

    None when they are computed.
    """
    if node.input(index) != ABSENT:
        return net.integers(node.input(index))
    return node.integers(attribute)


def int32(net: Net, node: Node, what: str, values: object) -> str:
    """A new int32 constant, as converters store axes, pads and bounds."""
    return net.add_constant(f"{node.outputs[0]}_{what}", np.array(values, np.int32))
