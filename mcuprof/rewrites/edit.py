"""What all passes need to change a graph: a copy that may be edited, closed again as a `Graph`."""

from __future__ import annotations

from dataclasses import replace

from mcuprof.graph import Graph, Op, Tensor, pack
from mcuprof.ops.kernel import Array

# Metadata that says something per tensor or operator by position: false as soon as anything moves.
POSITIONAL = ("OfflineMemoryAllocation", "mcuprof.plan")


class Draft:
    """Lists of a graph's tensors and operators under edit. Indices hold until `close`; a removed operator is None."""

    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.tensors: list[Tensor] = list(graph.tensors)
        self.ops: list[Op | None] = list(graph.ops)
        self.changed = False

    def tensor(self, index: int, tensor: Tensor) -> None:
        """Puts another tensor in place of this one."""
        self.tensors[index] = tensor
        self.changed = True

    def add(self, tensor: Tensor) -> int:
        """A new tensor; returns its index."""
        self.tensors.append(tensor)
        self.changed = True
        return len(self.tensors) - 1

    def op(self, index: int, op: Op | None) -> None:
        """Puts another operator in place of this one, or removes it."""
        self.ops[index] = op
        self.changed = True

    def read_instead(self, old: int, new: int) -> None:
        """Every operator that reads tensor `old` reads `new`."""
        for index, op in enumerate(self.ops):
            if op is not None and old in op.inputs:
                self.op(index, replace(op, inputs=tuple(new if tensor == old else tensor for tensor in op.inputs)))

    def bypass(self, index: int) -> bool:
        """Removes an operator whose only output always equals its input 0, and lets readers take that input.

        An output of the graph keeps its tensor and its name: then the input's producer writes it directly. False, and
        nothing is done, where that is impossible because the input is no operator's result or is an output too.
        """
        op = self.ops[index]
        assert op is not None
        kept, gone = op.inputs[0], op.outputs[0]
        if gone in self.source.outputs:
            producer = next(
                (i for i, other in enumerate(self.ops) if other is not None and kept in other.outputs), None
            )
            if producer is None or kept in self.source.outputs:
                return False
            kept, gone = gone, kept
            writer = self.ops[producer]
            assert writer is not None
            outputs = tuple(kept if tensor == gone else tensor for tensor in writer.outputs)
            self.op(producer, replace(writer, outputs=outputs))
        self.op(index, None)
        self.read_instead(gone, kept)
        return True

    def close(self) -> Graph:
        """The edited graph, without metadata that no longer holds; the source itself when nothing was changed."""
        if not self.changed:
            return self.source
        origin = self.source.origin
        metadata = {name: content for name, content in origin.metadata.items() if name not in POSITIONAL}
        return replace(
            self.source,
            tensors=tuple(self.tensors),
            ops=tuple(op for op in self.ops if op is not None),
            origin=replace(origin, metadata=metadata),
        )


def constant(tensor: Tensor, values: Array) -> Tensor:
    """The tensor with these contents, in its own type and the shape of `values`."""
    data = memoryview(pack(values, tensor.dtype))
    return replace(tensor, shape=tuple(values.shape), data=data)
