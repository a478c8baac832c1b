"""Floor 3: exact graph-to-graph rewrites. Every output keeps every bit for every input; one file per pass.

smaller, summary = prune(graph)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcuprof.graph import ABSENT, Graph
from mcuprof.ops import total_macs
from mcuprof.rewrites.dead_channels import remove_dead_channels
from mcuprof.rewrites.quantize_pairs import cancel_pairs
from mcuprof.rewrites.same_padding import fold_padding
from mcuprof.rewrites.unused import remove_unused

Pass = Callable[[Graph], Graph]
PASSES: tuple[Pass, ...] = (remove_unused, cancel_pairs, fold_padding, remove_unused, remove_dead_channels)


@dataclass(frozen=True, slots=True)
class Summary:
    """What became less, each as (before, after); channels are those of computed tensors."""

    operators: tuple[int, int]
    tensors: tuple[int, int]
    channels: tuple[int, int]
    macs: tuple[int, int]
    constant_bytes: tuple[int, int]
    activation_bytes: tuple[int, int]

    @property
    def changed(self) -> bool:
        """True when any count differs."""
        counts = (self.operators, self.tensors, self.channels, self.macs, self.constant_bytes, self.activation_bytes)
        return any(before != after for before, after in counts)


def simplify(graph: Graph) -> Graph:
    """All passes, again and again until none changes anything; the same object when none did.

    Each pass only removes or unpads, so this ends. Metadata that refers to tensors by position goes.
    """
    while True:
        before = graph
        for rewrite in PASSES:
            graph = rewrite(graph)
        if graph is before:
            return graph


def prune(graph: Graph) -> tuple[Graph, Summary]:
    """`simplify`, and what it saved."""
    smaller = simplify(graph)
    return smaller, compared(graph, smaller)


def compared(before: Graph, after: Graph) -> Summary:
    """What `after` has less of than `before`."""
    return Summary(*zip(_counts(before), _counts(after), strict=True))


def _counts(graph: Graph) -> tuple[int, int, int, int, int, int]:
    """Operators, tensors, channels of computed tensors, MACs, bytes of constants in use, bytes of computed tensors."""
    computed = [graph.tensors[index] for index in graph.producer]
    read = {index for op in graph.ops for index in op.inputs if index != ABSENT}
    constants = [graph.tensors[index] for index in read if graph.tensors[index].is_constant]
    return (
        len(graph.ops),
        len(graph.tensors),
        sum(tensor.shape[-1] for tensor in computed if tensor.shape),
        total_macs(graph),
        sum(tensor.nbytes for tensor in constants),
        sum(tensor.nbytes for tensor in computed),
    )


__all__ = [
    "Summary",
    "cancel_pairs",
    "compared",
    "fold_padding",
    "prune",
    "remove_dead_channels",
    "remove_unused",
    "simplify",
]
