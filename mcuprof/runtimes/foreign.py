"""Runtimes of which only latencies were published: what they allocate is not known, so no model is shown to fit.

`device_db/kernels/cycles.toml` says on which cores they were measured. A name without a version stands for the newest
one that was measured on the core at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcuprof.graph import Graph, Op
from mcuprof.hardware import Core
from mcuprof.ops.sharing import Share
from mcuprof.runtimes.tflm import Arena
from mcuprof.runtimes.tflm.kernels import KernelMemory
from mcuprof.runtimes.tflm.lifetimes import lifetimes
from mcuprof.runtimes.tflm.persistent import Tail
from mcuprof.runtimes.tflm.planner import head_bytes, plan

# Runtime → the kernel set it brings.
KERNELS: Mapping[str, str] = {
    "st-edge-ai-3": "st",
    "x-cube-ai-10": "st",
    "x-cube-ai-9": "st",
    "x-cube-ai-8": "st",
    "x-cube-ai-7": "st",
    "tinyengine": "tinyengine",
    "plumerai-2023.05": "plumerai",
    "plumerai-2022.10": "plumerai",
    "plumerai-2022.03": "plumerai",
    "microtvm": "cmsis-nn",
    "eon": "eon",
    "hale": "hale",
    "onnc": "cmsis-nn-q7",
    "tflm-2.3": "cmsis-nn",
    "tflm-andes": "andes-nn",
    "tflm-rx": "cmsis-nn-rx",
}
# Names without a version: newest first. X-CUBE-AI is what ST Edge AI Core was called, and what it is shipped in.
VERSIONS: Mapping[str, tuple[str, ...]] = {
    "st-edge-ai": ("st-edge-ai-3", "x-cube-ai-10", "x-cube-ai-9", "x-cube-ai-8", "x-cube-ai-7"),
    "x-cube-ai": ("x-cube-ai-10", "x-cube-ai-9", "x-cube-ai-8", "x-cube-ai-7"),
    "plumerai": ("plumerai-2023.05", "plumerai-2022.10", "plumerai-2022.03"),
}


def names() -> tuple[str, ...]:
    """All runtimes of this kind, names without a version first."""
    return (*VERSIONS, *KERNELS)


def kernels_of(name: str) -> str:
    """The kernel set of a runtime, by its name with or without a version."""
    return KERNELS[versions(name)[0]]


def versions(name: str) -> tuple[str, ...]:
    """What a name may stand for, newest first."""
    return VERSIONS.get(name, (name,))


def arena(
    graph: Graph, *, library: str, core: Core | None, asks: Callable[[Graph, Op], KernelMemory] | None = None
) -> Arena:
    """What the tensors alone take under a greedy plan: neither scratch nor anything that the runtime keeps."""
    live = lifetimes(graph, {})
    offsets = plan(live.requests)
    head = head_bytes(live.requests, offsets)
    return Arena(live.requests, offsets, live.scopes, Tail((), 0, 0, ()), head, head, ())


def refusal(graph: Graph, op: Op) -> str | None:
    """Which operators it runs is not known either."""
    return None


def sharing(library: str, core: Core | None) -> _NoSharing:
    """Nothing is known of the order in which its kernels read and write: outputs share no bytes with inputs."""
    return _NoSharing()


def kernel_memory(library: str, core: Core | None) -> Callable[[Graph, Op], KernelMemory]:
    """What a kernel allocates is not known."""
    return lambda graph, op: KernelMemory(exact=False)


class _NoSharing:
    def __call__(self, graph: Graph, op: Op, strategy: str, input_position: int, output_position: int) -> Share | None:
        return None
