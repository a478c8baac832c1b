"""Which bytes TFLM's kernels let an output share with an input that dies at it, per kernel library.

`rules` gives the answer in the form that `memory.plan` and `memory.check` ask for. A kernel that no rule speaks of
shares nothing. `portable` rules hold for the library and for the reference kernels: such a plan can be executed and
compared where only the reference kernels run. `walk` says the same in another way, byte by byte, for an execution.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof.graph import Graph, Op
from mcuprof.hardware import Core
from mcuprof.ops.sharing import REFERENCE, Share, share
from mcuprof.ops.traversal import Walk, reference_walk
from mcuprof.runtimes.tflm import kernels
from mcuprof.runtimes.tflm.overlap import cmsis_nn, cmsis_nn_walk, esp_nn
from mcuprof.runtimes.tflm.overlap.base import Distance

# TFLM's own code in every build: no library replaces these kernels. RESHAPE and its like copy only when the output is
# not already where the input is.
_OWN = frozenset({"RELU", "RELU6", "LEAKY_RELU", "SUB", "QUANTIZE", "DEQUANTIZE"})
_CMSIS = {"plain": "plain C built with GCC", "dsp": "DSP extension, built with GCC", "mve": "Helium, built with GCC"}
_ESP = {"generic": "generic C", "vector": "vector code"}


@dataclass(frozen=True, slots=True)
class OverlapRules:
    """The sharing rules of one library on one core (`mcuprof.memory.Sharing`). `name` is for people."""

    name: str
    library: Distance
    portable: bool = False

    def __call__(self, graph: Graph, op: Op, strategy: str, input_position: int, output_position: int) -> Share | None:
        """What the output may share; `depthwise` shares no more than `elementwise`, as no kernel of TFLM can do it."""
        base = share(graph, op, "elementwise" if strategy == "depthwise" else strategy, input_position, output_position)
        if base is None or base.mode == "view":
            return base
        own = self.library(graph, op, input_position)
        known = _reference(graph, op, input_position) if self.portable else own
        if own is None or known is None:
            return None
        distance = max(0, own, known)
        if strategy == "overlap":
            return Share("below", distance)
        return base if distance == 0 else None


def rules(library: str, core: Core | None, portable: bool = False) -> OverlapRules:
    """The rules of kernel library `library` on `core` (None: an Arm core with DSP extension).

    `portable`: distances that the reference kernels tolerate as well. Raises UsageError for a library that does not
    exist or that the core cannot run.
    """
    kernels.rules(library, core)
    if library == "cmsis-nn":
        cmsis = kernels.cmsis_variant(core)
        return OverlapRules(f"cmsis-nn, {_CMSIS[cmsis]}", _with_own(cmsis_nn.rules(cmsis)), portable)
    if library == "esp-nn":
        esp = kernels.esp_variant(core)
        return OverlapRules(f"esp-nn, {_ESP[esp]}", _with_own(esp_nn.rules(esp)), portable)
    return OverlapRules("reference", _reference, portable)


def walk(library: str, core: Core | None) -> Walk:
    """In which order the kernels of `library` on `core` read and write, for executing a plan made by its `rules`."""
    if library == "cmsis-nn":
        return cmsis_nn_walk.walk(kernels.cmsis_variant(core))
    return reference_walk


def walk_named(name: str) -> Walk:
    """`walk` for the rules whose `name` is this, as a stored plan has it; the reference order for every other name."""
    for variant, text in _CMSIS.items():
        if name == f"cmsis-nn, {text}":
            return cmsis_nn_walk.walk(variant)  # type: ignore[arg-type]  # the keys are the variants
    return walk("cmsis-nn", None) if name == "cmsis-nn" else reference_walk


def _reference(graph: Graph, op: Op, position: int) -> int | None:
    rule = REFERENCE.get(op.kind)
    return rule(graph, op, position) if rule is not None else None


def _with_own(library: dict[str, Distance]) -> Distance:
    def distance(graph: Graph, op: Op, position: int) -> int | None:
        if op.kind in library:
            return library[op.kind](graph, op, position)
        return _reference(graph, op, position) if op.kind in _OWN else None

    return distance


__all__ = ["OverlapRules", "rules", "walk", "walk_named"]
