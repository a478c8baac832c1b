"""Stack that AllocateTensors and Invoke need below the caller, from models executed on emulated cores.

Calls do not nest across operators, so a model needs the most that any of its kernels needs. `device_db/stack.toml`
holds for each kernel class the least that any executed model with that class needed: an upper limit of the class. The
painted stack of every executed model is at or below the answer here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcuprof.costs.data import toml
from mcuprof.costs.kernels import Simd, kernel_class
from mcuprof.graph import Graph, Op
from mcuprof.hardware.device import Core

_STAND_INS = {"cortex-m0": "cortex-m0plus", "cortex-m3": "cortex-m4", "cortex-m85": "cortex-m55"}


def stack_bytes(
    graph: Graph, core: Core, kernels: str, classify: Callable[[Graph, Op, str, Simd], str] = kernel_class
) -> tuple[int, str] | None:
    """(bytes, basis) for TFLM; None where this core and kernel set, or a kernel class of the model, never ran.

    `classify` is asked once per operator; a caller with many graphs may pass one that remembers.
    """
    limits: Mapping[str, Mapping[str, int]] = (toml("stack.toml") or {}).get(kernels, {})
    counted = core.id if core.id in limits else _STAND_INS.get(core.id, core.id)
    if counted not in limits or not graph.ops:
        return None
    if kernels == "cmsis-nn" and core.id == counted == "cortex-m33" and not core.dsp:
        return None  # executed with the DSP extension only
    simd: Simd = "mve" if core.mve else "dsp" if core.dsp else "none"
    try:
        classes = {classify(graph, op, kernels, simd) for op in graph.ops}
    except (LookupError, ValueError):
        return None
    if not classes <= limits[counted].keys():
        return None
    largest = max(classes, key=lambda one: (limits[counted][one], one))
    name = counted.replace("cortex-m", "Cortex-M").replace("plus", "+")
    where = f"models with {largest} executed on an emulated {name}"
    return limits[counted][
        largest
    ], f"measured: {where}" if counted == core.id else f"modelled: {name} stands in, {where}"
