"""Floor 5: what networks cost, for loops that ask of thousands: architecture search, pruning, sweeps over widths.

mcuprof.cost(graph, device).ms                                   # of a graph or a file
mcuprof.cost_from_layers([conv(8, 3, stride=2), …], device, input_shape=(96, 96, 3))
Evaluator(device, Options(order="optimal")).cost(graph)          # other options
cost_batch(candidates, device).ms                                # all at once, as NumPy arrays
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mcuprof.analysis import Options
from mcuprof.graph import Graph, Shape
from mcuprof.hardware import Device
from mcuprof.readers import read
from mcuprof.search.batch import Batch, Candidate, Costs
from mcuprof.search.evaluator import Cost, Evaluator
from mcuprof.search.layers import Builder, Layer


def cost(model: Graph | Path | str, device: Device, options: Options | None = None, *, memory: bool = True) -> Cost:
    """RAM, flash and latency of one model on one device: the numbers of `analyze`, without its words.

    What was asked of this device (the object) under these options before is remembered. Without `memory` neither arena
    nor stack. Raises ModelError and UsageError as `analyze` does.
    """
    graph = model if isinstance(model, Graph) else read(model)
    return _evaluator(_Same(device, options)).cost(graph, memory=memory)


def cost_from_layers(
    layers: Sequence[Layer],
    device: Device,
    options: Options | None = None,
    *,
    input_shape: Shape,
    memory: bool = True,
) -> Cost:
    """`cost` of a network that is only described yet (`mcuprof.search.layers`).

    The size of its file is modelled, everything else is as exact as for the file that a converter would write of it.
    Raises UsageError for layers that are no network.
    """
    known = _Same(device, options)
    return _evaluator(known).cost(_builder(known).graph(layers, input_shape), memory=memory)


def cost_batch(candidates: Sequence[Candidate], device: Device, options: Options | None = None) -> Costs:
    """Flash and latency of all candidates (layers, input shape) as arrays, equal to `cost_from_layers` of each."""
    return _batch(_Same(device, options)).costs(candidates)


@dataclass(frozen=True, eq=False)
class _Same:
    """Equal for the same objects: devices hold mappings, which have no hash."""

    device: Device
    options: Options | None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.device is other.device and self.options is other.options

    def __hash__(self) -> int:
        return hash((id(self.device), id(self.options)))


@lru_cache(maxsize=8)
def _evaluator(known: _Same) -> Evaluator:
    return Evaluator(known.device, known.options)


@lru_cache(maxsize=8)
def _builder(known: _Same) -> Builder:
    return Builder()


@lru_cache(maxsize=8)
def _batch(known: _Same) -> Batch:
    return Batch(_evaluator(known), _builder(known))


__all__ = ["Builder", "Candidate", "Cost", "Costs", "Evaluator", "Layer", "cost", "cost_batch", "cost_from_layers"]
