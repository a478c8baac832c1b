"""The sheet that operations are written on: which buffer each tensor has, and new ones for what lies between."""

from __future__ import annotations

from mcuprof.costs.npu.work import Buffer, Engine, Kernel, Map, Shape, Weights, Work, three
from mcuprof.graph import Graph, Op


class Unmodelled(ValueError):
    """An operator that the NPU runs in a way that is not modelled here; the message is the reason."""


class Sheet:
    """Operations and buffers of one graph, as far as they are written down."""

    def __init__(self, graph: Graph, u85: bool) -> None:
        self.graph, self.u85 = graph, u85
        self.buffers: list[Buffer] = []
        self.works: list[Work] = []
        self.fallen: dict[int, str] = {}
        # Tensor → its buffer and the part of it that the tensor is (offsets do not matter, shapes do).
        self.place: dict[int, int] = {}
        self.slices: dict[int, Shape] = {}
        self.padded: set[int] = set()
        self.direct: dict[int, tuple[int, Shape]] = {}

    def buffer(self, index: int) -> int:
        """The buffer of a tensor, made when it is first asked for."""
        if index not in self.place:
            tensor = self.graph.tensors[index]
            host = index in self.graph.inputs or index in self.graph.outputs
            constant = tensor.is_constant
            self.place[index] = self.new(three(tensor.shape), max(8, tensor.dtype.bits), host, constant)
            self.buffers[self.place[index]].persistent = tensor.variable
        return self.place[index]

    def new(self, shape: Shape, bits: int, host: bool = False, constant: bool = False) -> int:
        """Makes a buffer; its index."""
        self.buffers.append(Buffer(shape, bits, linear=host or constant, host=host, constant=constant))
        return len(self.buffers) - 1

    def map(self, index: int, shape: Shape | None = None) -> Map:
        """A tensor as an operand or result, of another shape where one is given."""
        tensor = self.graph.tensors[index]
        own = shape or three(tensor.shape)
        return Map(self.buffer(index), own, max(8, tensor.dtype.bits), self.slices.get(index, own))

    def temporary(self, shape: Shape, bits: int) -> Map:
        """A map between two operations of one operator."""
        return Map(self.new(shape, bits), shape, bits, shape)

    def constant(self, shape: Shape, bits: int) -> Map:
        """A map that comes with the model."""
        return Map(self.new(shape, bits, constant=True), shape, bits, shape)

    def readers(self, index: int) -> int:
        """How many operators read a tensor; the host counts as one for outputs."""
        return len(self.graph.consumers.get(index, ())) + (index in self.graph.outputs)

    def output(self, op: Op, shape: Shape | None = None) -> Map:
        """The map of the first output: in the buffer of a concatenation where that is its only reader."""
        index = op.outputs[0]
        if index in self.direct:
            joined, whole = self.direct[index]
            self.place[index] = self.buffer(joined)
            own = shape or three(self.graph.tensors[index].shape)
            return Map(self.place[index], own, max(8, self.graph.tensors[index].dtype.bits), whole)
        return self.map(index, shape)

    def emit(
        self,
        index: int,
        engine: Engine,
        name: str,
        inputs: tuple[Map, ...],
        output: Map,
        kernel: Kernel | None = None,
        weights: Weights | None = None,
        clamp: bool = False,
        table: bool = False,
        scaled: bool = True,
        up: int = 1,
    ) -> None:
        """Writes one operation down."""
        work = Work(index, engine, name, inputs, output, kernel or Kernel(), weights, table, clamp, scaled, up)
        self.works.append(work)


def replace_shape(each: Map, shape: Shape) -> Map:
    """The part of that shape of a map."""
    return Map(each.buffer, shape, each.bits, each.of)
