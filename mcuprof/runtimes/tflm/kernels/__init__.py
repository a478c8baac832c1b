"""What TFLM's kernels allocate, one file per kernel library; `rules` picks the library and its variant for a core."""

from __future__ import annotations

from mcuprof.errors import UsageError
from mcuprof.hardware import Core
from mcuprof.runtimes.tflm.kernels import cmsis_nn, esp_nn, reference
from mcuprof.runtimes.tflm.kernels.base import KernelMemory, Rules

LIBRARIES = ("reference", "cmsis-nn", "esp-nn")

_OPTIONAL_DSP = ("cortex-m33", "cortex-m35p")
_VECTOR_CORES = ("xtensa-lx7-pie", "rv32imafc-pie")


def rules(library: str, core: Core | None) -> Rules:
    """Allocation rules of `library` on `core`; without a core, those of a Cortex-M with DSP extension.

    Raises UsageError when the library does not exist or does not run on that core.
    """
    if library == "reference":
        return reference.RULES
    if library == "cmsis-nn":
        if core is not None and not core.id.startswith("cortex-"):
            raise UsageError(f"cmsis-nn kernels run on Arm cores, not on {core.name}")
        return cmsis_nn.rules(cmsis_variant(core))
    if library == "esp-nn":
        if core is not None and core.id.startswith("cortex-"):
            raise UsageError(f"esp-nn kernels run on Espressif's chips, not on {core.name}")
        return esp_nn.rules(esp_variant(core))
    raise UsageError(f"no kernel library {library!r} for tflm (there are {', '.join(LIBRARIES)})")


def cmsis_variant(core: Core | None) -> cmsis_nn.Variant:
    """Which CMSIS-NN code a core compiles: MVE, DSP extension, or plain C.

    Where the DSP extension is an option of the core that no source states, it is assumed: that code never asks for
    less scratch than plain C does.
    """
    if core is None or core.dsp:
        return "mve" if core is not None and core.mve else "dsp"
    return "dsp" if core.id in _OPTIONAL_DSP else "plain"


def esp_variant(core: Core | None) -> esp_nn.Variant:
    """Which ESP-NN code a core runs: the vector kernels of the S3 and P4, or generic C."""
    return "vector" if core is not None and core.id in _VECTOR_CORES else "generic"


__all__ = ["LIBRARIES", "KernelMemory", "Rules", "cmsis_variant", "esp_variant", "rules"]
