"""The network while it is being read: nodes and named values that the passes rewrite until a `Graph` can be made.

Values are `Tensor`s by name; a name that is not in `values` has no known shape yet. Only this package sees a `Net`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import DType, Quantization, Tensor, pack

MAX_ELEMENTS = 2**31  # what a 32-bit target could address even at one bit each
MAX_SPENT = 1 << 26  # elements of constants that passes may make anew, so that a small hostile file stays small
ABSENT = ""  # ONNX spells an omitted optional input or output as an empty name


@dataclass(eq=False)
class Node:
    """One ONNX node. Passes may change everything but `source` and `position` (its place in the file).

    `protos` are the attributes as stored, for ONNX's own shape inference; `attributes` their decoded values.
    `inputs` ends with the `captures` of `bodies`: outer values that a body of If, Loop or Scan reads.
    """

    op: str
    inputs: list[str]
    outputs: list[str]
    position: int
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    name: str = ""
    source: str = ""
    activation: str = "NONE"
    dtype: DType | None = None
    protos: tuple[Any, ...] = ()
    bodies: dict[str, Net] = field(default_factory=dict)
    captures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        source = self.source if self.source.isprintable() else repr(self.source)
        return f"{source} {self.name!r}" if self.name else source

    def input(self, index: int) -> str:
        """Name of input `index`; ABSENT where it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else ABSENT

    def integer(self, name: str, default: int = 0) -> int:
        """An int attribute. Raises ModelError when it has another type."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise ModelError(f"{self} has a {name} that is not an integer")
        return value

    def number(self, name: str, default: float = 0.0) -> float:
        """A float attribute. Raises ModelError when it has another type."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int | float):
            raise ModelError(f"{self} has a {name} that is not a number")
        return float(value)

    def text(self, name: str, default: str = "") -> str:
        """A string attribute. Raises ModelError when it has another type."""
        value = self.attributes.get(name, default)
        if not isinstance(value, str):
            raise ModelError(f"{self} has a {name} that is not a string")
        return value

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """An attribute that lists ints. Raises ModelError when it has another type."""
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
            raise ModelError(f"{self} has a {name} that is not a list of integers")
        return value


@dataclass(eq=False)
class Net:
    """Nodes and values of one (sub)graph; `notes` and `opsets` are shared with the whole file.

    `captured` are values that it reads from the net around it. `declared` holds what the file says about types, used
    only where nothing better can be derived; `dims` the sizes of named dimensions; `bounded` the values whose shape is
    an upper bound.
    """

    name: str = ""
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    captured: list[str] = field(default_factory=list)
    declared: dict[str, Any] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)
    bounded: set[str] = field(default_factory=set)
    notes: dict[str, bool] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    spent: int = 0
    serials: dict[str, int] = field(default_factory=dict)
    producer: dict[str, Node] = field(default_factory=dict)
    uses: dict[str, dict[Node, None]] = field(default_factory=dict)

    def note(self, sentence: str, *, odd: bool = False) -> None:
        """Adds a sentence for the user, once; `odd`: about a rule that the file breaks."""
        self.notes[sentence] = odd

    # Editing ----------------------------------------------------------------------------------------------------------

    def link(self) -> None:
        """Builds `producer` and `uses` anew. Raises ModelError when two nodes write one value."""
        self.producer, self.uses = {}, {}
        for node in self.nodes:
            self._attach(node)

    def _attach(self, node: Node) -> None:
        for name in node.inputs:
            self.uses.setdefault(name, {})[node] = None
        for name in node.outputs:
            if name == ABSENT:
                continue
            if name in self.producer:
                raise ModelError(f"writes the tensor {name!r} twice ({self.producer[name]} and {node})")
            self.producer[name] = node

    def add(self, node: Node) -> Node:
        """Puts a node into the linked net; `ordered` finds its place."""
        self.nodes.append(node)
        self._attach(node)
        return node

    def set_input(self, node: Node, index: int, name: str) -> None:
        """Makes `node` read `name` at `index`."""
        old = node.inputs[index]
        node.inputs[index] = name
        if old not in node.inputs:
            self.uses[old].pop(node, None)
        self.uses.setdefault(name, {})[node] = None

    def set_inputs(self, node: Node, names: Iterable[str]) -> None:
        """Replaces all inputs of `node`."""
        for name in node.inputs:
            self.uses[name].pop(node, None)
        node.inputs = list(names)
        for name in node.inputs:
            self.uses.setdefault(name, {})[node] = None

    def set_output(self, node: Node, index: int, name: str) -> None:
        """Makes `node` write `name` at `index`, instead of whatever wrote it before."""
        old = node.outputs[index]
        if self.producer.get(old) is node:
            del self.producer[old]
        node.outputs[index] = name
        self.producer[name] = node

    def drop(self, node: Node) -> None:
        """Unlinks `node`; its outputs need a new writer or no reader. The next `sweep` removes it."""
        self.set_inputs(node, ())
        for name in node.outputs:
            if self.producer.get(name) is node:
                del self.producer[name]
        node.outputs = []

    def merge(self, first: Node, second: Node) -> None:
        """`first` takes the only output of `second` for its own first one; `second` goes."""
        name = second.outputs[0]
        self.drop(second)
        self.set_output(first, 0, name)

    def redirect(self, old: str, new: str) -> None:
        """Makes all nodes that read `old` read `new`."""
        for node in list(self.uses.get(old, ())):
            for index, name in enumerate(node.inputs):
                if name == old:
                    self.set_input(node, index, new)

    def readers(self, name: str) -> list[Node]:
        """The nodes that read `name`."""
        return list(self.uses.get(name, ()))

    def reader(self, name: str) -> Node | None:
        """The only node that reads `name`; None when there are others or it leaves the net."""
        readers = self.uses.get(name, {})
        return next(iter(readers)) if len(readers) == 1 and not self.leaves(name) else None

    def leaves(self, name: str) -> bool:
        """True for outputs of the net."""
        return name in self.exits

    @cached_property
    def exits(self) -> frozenset[str]:
        """The output names; no pass renames an output."""
        return frozenset(self.outputs)

    def sweep(self) -> int:
        """Removes nodes whose outputs nobody reads; the number of those removed."""
        alive: set[Node] = set()
        pending = [node for name in self.outputs if (node := self.producer.get(name)) is not None]
        while pending:
            node = pending.pop()
            if node not in alive:
                alive.add(node)
                pending += [made for name in node.inputs if (made := self.producer.get(name)) is not None]
        dead = len(self.nodes) - len(alive)
        if dead:
            self.nodes = [node for node in self.nodes if node in alive]
            self.link()
        return dead

    def sort(self) -> bool:
        """Orders the nodes topologically, staying with the file's order where possible; False if it was a valid order.

        Raises ModelError on a cycle.
        """
        self.nodes.sort(key=lambda node: node.position)
        waiting: dict[Node, int] = {}
        ready: list[tuple[int, int, Node]] = []
        for serial, node in enumerate(self.nodes):
            waiting[node] = sum(name in self.producer for name in dict.fromkeys(node.inputs) if name != ABSENT)
            if not waiting[node]:
                ready.append((node.position, serial, node))
        heapq.heapify(ready)
        order: list[Node] = []
        serial = len(self.nodes)
        while ready:
            node = heapq.heappop(ready)[2]
            order.append(node)
            for name in dict.fromkeys(node.outputs):
                for reader in self.uses.get(name, ()) if name != ABSENT else ():
                    waiting[reader] -= 1
                    if not waiting[reader]:
                        serial += 1
                        heapq.heappush(ready, (reader.position, serial, reader))
        if len(order) < len(self.nodes):
            done = set(order)
            stuck = next(node for node in self.nodes if node not in done)
            raise ModelError(f"has a cycle through {stuck}")
        changed = order != self.nodes
        self.nodes = order
        return changed

    # Values -----------------------------------------------------------------------------------------------------------

    def set_value(self, tensor: Tensor) -> None:
        """Records a value. Raises ModelError when its declared size is absurd."""
        if tensor.elements > MAX_ELEMENTS:
            raise ModelError(f"tensor {tensor.name!r} declares {tensor.nbytes:,} bytes")
        if tensor.name != ABSENT:
            self.values[tensor.name] = tensor

    def constant(self, name: str) -> np.ndarray | None:
        """Content of the constant `name` (int4 as int8); None when it is computed, stripped or foreign to NumPy.

        bfloat16 counts as foreign, whatever packages are loaded: only a Cast takes it further (evaluate.py).
        """
        tensor = self.values.get(name)
        if tensor is None or tensor.data is None or tensor.dtype is DType.BFLOAT16:
            return None
        try:
            return tensor.array()
        except (ValueError, TypeError):
            return None

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Content of an integer constant, flat; None when it is not one."""
        array = self.constant(name)
        return tuple(array.reshape(-1).tolist()) if array is not None and array.dtype.kind in "iub" else None

    def fresh(self, hint: str) -> str:
        """A name that no value has yet."""
        name, number = hint, self.serials.get(hint, 1)
        while name in self.values or name in self.producer or name in self.entries:
            number += 1
            name = f"{hint}#{number}"
        self.serials[hint] = number
        return name

    @cached_property
    def entries(self) -> frozenset[str]:
        """The input names; passes only add outer values to them, which have names already."""
        return frozenset(self.inputs)

    def may_spend(self, elements: int) -> bool:
        """Accounts for constants with so many elements; False when the net has used up what passes may make."""
        self.spent += elements
        return self.spent <= MAX_SPENT

    def add_constant(
        self, hint: str, array: np.ndarray, quantization: Quantization | None = None, dtype: DType | None = None
    ) -> str:
        """A new constant with the content of `array` (packed if `dtype` is a 4-bit type); its name."""
        name = self.fresh(hint)
        self.set_value(constant_tensor(name, array, quantization, dtype))
        return name


def constant_tensor(
    name: str, array: np.ndarray, quantization: Quantization | None = None, dtype: DType | None = None
) -> Tensor:
    """A constant `Tensor` with the content of `array`. Raises ValueError for element types without a `DType`."""
    dtype = dtype or DType(array.dtype.name)
    return Tensor(name, tuple(array.shape), dtype, quantization, memoryview(pack(array, dtype)))
