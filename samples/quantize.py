"""Post-training quantization by the TFLite int8 specification (ai.google.dev/edge/litert/models/quantization_spec).

Activations: int8, asymmetric, per tensor. Weights: int8, symmetric, per output channel for convolutions and per tensor
elsewhere. Biases: int32 with scale input·weights. LSTM cell state: int16 with a power of two as scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, frexp, ldexp, log2

import numpy as np
import numpy.typing as npt

from samples.layers import GATES, INPUT, Array, Concat, Conv, Dense, Flatten, Lstm, Network, Pool, Softmax
from samples.simulate import forward


@dataclass(frozen=True)
class Affine:
    """real = scale · (q − zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class Constant:
    """Quantized weights (int8) or biases (int32), zero point 0; float32 `scale`: one, or one per index of axis 0."""

    values: npt.NDArray[np.int8] | npt.NDArray[np.int32]
    scale: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """`tensors` by layer name (and LSTM cell name); `constants` by layer name + "/weights", "/bias" …"""

    network: Network
    tensors: Mapping[str, Affine]
    constants: Mapping[str, Constant]


def quantize(network: Network) -> QuantizedNetwork:
    """Choose ranges by simulating the float network on its calibration inputs, then round the weights."""
    tensors = _calibrate(network)
    constants: dict[str, Constant] = {}
    for layer in network.layers:
        if isinstance(layer, Conv | Dense):
            weights = _symmetric(layer.weights, per_channel=isinstance(layer, Conv))
            constants[f"{layer.name}/weights"] = weights
            constants[f"{layer.name}/bias"] = _bias(layer.bias, tensors[layer.inputs[0]], weights)
        elif isinstance(layer, Lstm):
            for i, gate in enumerate(GATES):
                weights = _symmetric(layer.weights[i])
                constants[f"{layer.name}/{gate}/weights"] = weights
                constants[f"{layer.name}/{gate}/recurrent"] = _symmetric(layer.recurrent[i])
                constants[f"{layer.name}/{gate}/bias"] = _bias(layer.bias[i], tensors[layer.inputs[0]], weights)
    return QuantizedNetwork(network, tensors, constants)


def _calibrate(network: Network) -> dict[str, Affine]:
    values = forward(network, network.calibration)
    tensors: dict[str, Affine] = {}
    for names in _sharing(network):
        tensors |= dict.fromkeys(
            names, _affine(min(values[x].min() for x in names), max(values[x].max() for x in names))
        )
    for layer in network.layers:
        if isinstance(layer, Softmax):
            tensors[layer.name] = Affine(1 / 256, -128)  # fixed by the specification
        elif isinstance(layer, Lstm):
            bits = ceil(log2(np.abs(values[layer.cell]).max()))
            tensors[layer.cell] = Affine(2.0 ** (bits - 15), 0)
    return tensors


def _sharing(network: Network) -> list[set[str]]:
    """Tensors that must have one scale: kernels of pools, concatenations and reshapes only move or compare values."""
    groups = [{INPUT}, *({layer.name} for layer in network.layers)]
    for layer in network.layers:
        if isinstance(layer, Pool | Concat | Flatten):
            tied = {layer.name, *layer.inputs}
            apart = [group for group in groups if not group & tied]
            groups = [*apart, set().union(*(group for group in groups if group & tied))]
    return groups


def _affine(low: float, high: float) -> Affine:
    low, high = min(low, 0.0), max(high, 0.0)
    # Twelve bits of scale, rounded up: the last bits of a float sum depend on the machine's BLAS, the files must not.
    mantissa, exponent = frexp((high - low) / 255)
    scale = ldexp(ceil(mantissa * 4096), exponent - 12)
    return Affine(scale, round(-128 - low / scale))


def _symmetric(weights: Array, per_channel: bool = False) -> Constant:
    rows = weights.reshape(len(weights), -1) if per_channel else weights.reshape(1, -1)
    scale = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    values = np.rint(rows / scale[:, None].astype(np.float64)).clip(-127, 127)
    return Constant(values.astype(np.int8).reshape(weights.shape), scale)


def _bias(bias: Array, x: Affine, weights: Constant) -> Constant:
    scale = np.float32(x.scale) * weights.scale
    return Constant(np.rint(bias / scale.astype(np.float64)).astype(np.int32), scale)
