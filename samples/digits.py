"""A small CNN really trained, on the 1,797 handwritten digits that come with scikit-learn (8×8, 10 classes).

Plain stochastic gradient descent in numpy; the weights are snapped after every step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from samples.builder import Builder
from samples.layers import INPUT, Array, Conv, Dense, Layer, Network, Pool, Window
from samples.simulate import evaluate, patches, snap

EPOCHS, BATCH, RATE, MOMENTUM = 10, 32, 0.05, 0.9
HELD_OUT = 360

Labels = npt.NDArray[np.int64]
Gradients = dict[str, tuple[Array, Array]]


class Digits(NamedTuple):
    """Images [n, 8, 8, 1] in 0 … 1 and their labels [n], split by a fixed shuffle."""

    train_images: Array
    train_labels: Labels
    test_images: Array
    test_labels: Labels


def load() -> Digits:
    """The data set; ModuleNotFoundError where scikit-learn is not installed."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    order = np.random.RandomState(0).permutation(len(bundle.target))
    images, labels = bundle.images[order, :, :, None] / 16, bundle.target[order]
    return Digits(images[HELD_OUT:], labels[HELD_OUT:], images[:HELD_OUT], labels[:HELD_OUT])


def digits() -> Network:
    """The trained network, softmax included, calibrated on training images."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    data = load()
    net = Builder((8, 8, 1), seed=7)
    x = net.max_pool(net.conv(INPUT, 8, (3, 3)), (2, 2), 2)
    x = net.max_pool(net.conv(x, 16, (3, 3)), (2, 2), 2)
    x = net.conv(x, 32, (2, 2), padding="VALID")
    net.softmax(net.dense(net.flatten(x), 10))
    network = net.network("digits", data.train_images[:256])
    with threadpool_limits(1):  # matrices this small only lose by threads, and lose much on a busy machine
        return train(network, data.train_images, data.train_labels)


def train(network: Network, images: Array, labels: Labels) -> Network:
    """The same network with weights that fit `labels`. It must be a chain that ends in a softmax."""
    random = np.random.RandomState(0)
    layers = {layer.name: layer for layer in network.layers}
    speed: Gradients = {x.name: (0 * x.weights, 0 * x.bias) for x in network.layers if isinstance(x, Conv | Dense)}
    steps = EPOCHS * (len(images) // BATCH)
    for step in range(steps):
        if step % (len(images) // BATCH) == 0:
            order = random.permutation(len(images))
        batch, order = order[:BATCH], order[BATCH:]
        rate = RATE * (1 - step / steps)
        for name, slopes in _gradients(list(layers.values()), images[batch], labels[batch]).items():
            layer = layers[name]
            assert isinstance(layer, Conv | Dense)
            weights, bias = (MOMENTUM * v - rate * slope for v, slope in zip(speed[name], slopes, strict=True))
            speed[name] = weights, bias
            layers[name] = replace(layer, weights=snap(layer.weights + weights), bias=snap(layer.bias + bias))
    return replace(network, layers=tuple(layers.values()))


def _gradients(layers: list[Layer], x: Array, labels: Labels) -> Gradients:
    """Slopes of the mean cross-entropy for the weights and bias of each layer, by backpropagation."""
    values = [x]
    for layer in layers:
        values.append(evaluate(layer, [values[-1]]))
    gradients: Gradients = {}
    slope = (values[-1] - np.eye(values[-1].shape[1])[labels]) / len(labels)  # of softmax and cross-entropy together
    for layer, x, y in reversed(list(zip(layers[:-1], values, values[1:], strict=False))):
        if isinstance(layer, Conv | Dense):
            slope = slope if layer.activation == "NONE" else slope * (y > 0)
            rows = slope.reshape(-1, slope.shape[-1])
            seen = patches(x, layer.window) if isinstance(layer, Conv) else x
            weights = rows.T @ seen.reshape(len(rows), -1)
            gradients[layer.name] = weights.reshape(layer.weights.shape), rows.sum(axis=0)
            back = (rows @ layer.weights.reshape(len(layer.weights), -1)).reshape(seen.shape)
            slope = _scatter(back, layer.window, x) if isinstance(layer, Conv) else back
        elif isinstance(layer, Pool):
            winners = patches(x, layer.window) == y[:, :, :, None, None]
            share = winners / winners.sum(axis=(3, 4), keepdims=True)
            slope = _scatter(share * slope[:, :, :, None, None], layer.window, x)
        else:
            slope = slope.reshape(x.shape)
    return gradients


def _scatter(seen: Array, window: Window, x: Array) -> Array:
    """The reverse of `patches`: slopes of what each output pixel saw, summed where they came from."""
    (top, bottom), (left, right) = window.pads((x.shape[1], x.shape[2]))
    total = np.zeros((len(x), x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3]))
    (rows, columns), (down, across) = seen.shape[1:3], window.stride
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            total[:, i : i + rows * down : down, j : j + columns * across : across] += seen[:, :, :, i, j]
    return total[:, top : top + x.shape[1], left : left + x.shape[2]]
