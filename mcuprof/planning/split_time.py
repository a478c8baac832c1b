"""How long a split network takes, as far as it is known: SLICE was counted on no core, its copies are named apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcuprof.costs import NoData, latency
from mcuprof.graph import Graph
from mcuprof.hardware.device import Device


@dataclass(frozen=True, slots=True)
class SplitTime:
    """`ms` without the `copied` bytes that SLICE moves; None where there is no basis, and `reason` says why."""

    ms: float | None
    copied: int
    reason: str = ""


def split_time(graph: Graph, device: Device | None, kernels: str) -> SplitTime:
    """The time of one inference of `graph` on `device`, CONCATENATION included."""
    copied = copied_bytes(graph)
    if device is None:
        return SplitTime(None, copied, "no device named")
    counted = replace(graph, ops=tuple(op for op in graph.ops if op.kind != "SLICE"))
    found = latency(counted, device, runtime="tflm", kernels=kernels)
    if isinstance(found, NoData):
        return SplitTime(None, copied, found.reason)
    return SplitTime(found.ms, copied, "" if found.ms is not None else found.basis)


def copied_bytes(graph: Graph) -> int:
    """What SLICE moves in one inference."""
    return sum(graph.output(op).nbytes for op in graph.ops if op.kind == "SLICE")
