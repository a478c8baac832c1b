"""Batch normalization folded into the weights, as in the networks that people deploy.

Deep networks with plain random weights answer almost the same to every input; normalized ones do not, and their
activations fill the range that int8 gives them.
"""

from __future__ import annotations

from dataclasses import replace

from samples.layers import INPUT, Array, Conv, Dense, Layer, Network
from samples.simulate import evaluate, results, snap


def normalize(network: Network) -> Network:
    """Give the result of each hidden layer mean 1 + bias and variance 1 per channel over the calibration inputs.

    With a mean of 0 the deep networks would be chaotic: one step of rounding early on would decide the output.
    """
    layers: list[Layer] = []
    values = {INPUT: network.calibration}
    for layer in network.layers:
        if isinstance(layer, Conv) or (isinstance(layer, Dense) and layer.activation != "NONE"):
            layers.append(_normalized(layer, values[layer.inputs[0]]))
        else:
            layers.append(layer)
        values |= results(layers[-1], values)
    return replace(network, layers=tuple(layers))


def _normalized(layer: Conv | Dense, x: Array) -> Conv | Dense:
    plain = replace(layer, bias=0 * layer.bias, activation="NONE")
    result = evaluate(plain, [x]).reshape(-1, layer.shape[-1])
    factor = snap(1 / result.std(axis=0))
    shift = snap(result.mean(axis=0))
    weights = layer.weights * factor.reshape(-1, *[1] * (layer.weights.ndim - 1))
    return replace(layer, weights=weights, bias=1 + layer.bias - shift * factor)
