"""The float network in numpy, float64: ranges for calibration, and the reference that trained weights are judged by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from samples.layers import (
    INPUT,
    Activation,
    Add,
    Array,
    Concat,
    Conv,
    Dense,
    Flatten,
    Layer,
    Lstm,
    Network,
    Pool,
    Softmax,
    Window,
)

_CEILING: dict[Activation, float] = {"RELU": np.inf, "RELU6": 6.0}


def forward(network: Network, x: Array) -> dict[str, Array]:
    """Every tensor of the network by name for inputs [n, *input_shape]; LSTM cell states too, [n, time, units]."""
    values = {INPUT: x}
    for layer in network.layers:
        values |= results(layer, values)
    return values


def results(layer: Layer, values: Mapping[str, Array]) -> dict[str, Array]:
    """What one layer adds to the tensors that are there."""
    inputs = [values[name] for name in layer.inputs]
    if isinstance(layer, Lstm):
        hidden, cell = _lstm(layer, inputs[0])
        return {layer.name: hidden, layer.cell: cell}
    return {layer.name: evaluate(layer, inputs)}


def evaluate(layer: Layer, inputs: list[Array]) -> Array:
    """Output of one stateless layer."""
    x = inputs[0]
    match layer:
        case Conv():
            return _activate(_convolve(layer, x), layer.activation)
        case Dense():
            return _activate(x @ layer.weights.T + layer.bias, layer.activation)
        case Pool(kind="MAX"):
            return np.asarray(patches(x, layer.window, -np.inf).max(axis=(3, 4)))
        case Pool():
            return np.asarray(np.nanmean(patches(x, layer.window, np.nan), axis=(3, 4)))
        case Add():
            return _activate(x + inputs[1], layer.activation)
        case Concat():
            return np.concatenate(inputs, axis=-1)
        case Flatten():
            return x.reshape(len(x), -1)
        case Softmax():
            exp = np.exp(x - x.max(axis=-1, keepdims=True))
            return np.asarray(exp / exp.sum(axis=-1, keepdims=True))
        case _:
            raise TypeError(f"no simulation of {type(layer).__name__}")


def _activate(x: Array, activation: Activation) -> Array:
    """The fused activation."""
    return x if activation == "NONE" else np.clip(x, 0, _CEILING[activation])


def patches(x: Array, window: Window, fill: float = 0.0) -> Array:
    """What each output pixel sees: [n, rows, columns, kernel rows, kernel columns, channels]."""
    pads = window.pads((x.shape[1], x.shape[2]))
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(1, 2))
    return np.asarray(views[:, :: window.stride[0], :: window.stride[1]].transpose(0, 1, 2, 4, 5, 3))


def _convolve(layer: Conv, x: Array) -> Array:
    """The convolution before its activation."""
    seen = patches(x, layer.window)
    if layer.groups == 1:
        return np.asarray(np.tensordot(seen, layer.weights, axes=((3, 4, 5), (1, 2, 3))) + layer.bias)
    return np.asarray(np.einsum("nrcijk,kij->nrck", seen, layer.weights[..., 0]) + layer.bias)


def snap(x: Array) -> Array:
    """Rounded to 14 binary places: the last bits of a sum depend on the machine's BLAS, what is built must not."""
    return np.asarray(np.rint(x * 2**14) / 2**14)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _lstm(layer: Lstm, x: Array) -> tuple[Array, Array]:
    hidden = cell = np.zeros((len(x), layer.shape[1]))
    outputs, cells = [], []
    for step in range(x.shape[1]):
        gates = np.einsum("nf,guf->gnu", x[:, step], layer.weights) + layer.bias[:, None]
        i, f, g, o = gates + np.einsum("nh,guh->gnu", hidden, layer.recurrent)
        cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
        hidden = _sigmoid(o) * np.tanh(cell)
        outputs.append(hidden)
        cells.append(cell)
    return np.stack(outputs, axis=1), np.stack(cells, axis=1)
