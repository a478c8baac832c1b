"""TFLM with ESP-NN kernels (Espressif's esp-tflite-micro component).

The generic C kernels (ESP32, ESP32-C3 and its kin) need no scratch but a row for softmax. The vector kernels of the
ESP32-S3 and ESP32-P4 ask for more, by formulas that mcuprof has neither read nor seen executed: there the answer is
marked as not exact, and the scratch is missing from it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from mcuprof.graph import DType, Graph, Op
from mcuprof.runtimes.tflm.abi import Abi
from mcuprof.runtimes.tflm.kernels import reference
from mcuprof.runtimes.tflm.kernels.base import KernelMemory, Rules

Variant = Literal["generic", "vector"]

RECORD_BYTES = 60  # OpDataConv and the index of the scratch buffer


def rules(variant: Variant) -> Rules:
    """Rules of all kernels: `generic` C, or the `vector` kernels of the S3 and P4."""

    def convolution(graph: Graph, op: Op, target: Abi) -> KernelMemory:
        memory = replace(reference.convolution(graph, op, target), init=(RECORD_BYTES,))
        known = variant == "generic" or graph.input(op).dtype is not DType.INT8
        return replace(memory, exact=known)

    return {
        **reference.RULES,
        **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), convolution),
        "SOFTMAX": softmax,
    }


def softmax(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The reference record and a buffer index; int8 needs one int32 per element of a row."""
    x = graph.input(op)
    memory = reference.softmax(graph, op, target)
    scratch = (4 * x.shape[-1],) if x.dtype is DType.INT8 and x.shape else ()
    return replace(memory, init=(64,), scratch=scratch)
