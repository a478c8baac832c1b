"""Strings layers together: shapes are inferred and weights drawn as the network is written down."""

from __future__ import annotations

from math import prod

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
    Padding,
    Pair,
    Pool,
    Shape,
    Softmax,
    Window,
)


class Builder:
    """Each method appends one layer and returns its name, which later layers take as input."""

    def __init__(self, input_shape: Shape, seed: int):
        # RandomState, not default_rng: its stream is frozen (NEP 19), so every numpy builds the same bytes.
        self._random = np.random.RandomState(seed)
        self._layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {INPUT: input_shape}

    def conv(
        self,
        x: str,
        channels: int,
        kernel: Pair,
        stride: int = 1,
        padding: Padding = "SAME",
        activation: Activation = "RELU",
    ) -> str:
        """Convolution to `channels`."""
        return self._conv("conv", x, channels, 1, Window(kernel, (stride, stride), padding), activation)

    def depthwise(self, x: str, kernel: Pair, stride: int = 1, activation: Activation = "RELU") -> str:
        """Depthwise convolution: one filter per channel."""
        channels = self._shapes[x][2]
        return self._conv("depthwise", x, channels, channels, Window(kernel, (stride, stride)), activation)

    def _conv(self, kind: str, x: str, channels: int, groups: int, window: Window, activation: Activation) -> str:
        rows, columns, depth = self._shapes[x]
        shape = (*window.output((rows, columns)), channels)
        weights = self._weights((channels, *window.kernel, depth // groups))
        return self._append(
            Conv(self._name(kind), (x,), shape, window, groups, weights, self._bias(channels), activation)
        )

    def dense(self, x: str, units: int, activation: Activation = "NONE") -> str:
        """Fully connected layer to `units`."""
        (width,) = self._shapes[x]
        weights = self._weights((units, width))
        return self._append(Dense(self._name("dense"), (x,), (units,), weights, self._bias(units), activation))

    def max_pool(self, x: str, kernel: Pair, stride: int, padding: Padding = "VALID") -> str:
        """Maximum over windows."""
        rows, columns, depth = self._shapes[x]
        window = Window(kernel, (stride, stride), padding)
        shape = (*window.output((rows, columns)), depth)
        return self._append(Pool(self._name("max_pool"), (x,), shape, window, "MAX"))

    def global_average(self, x: str) -> str:
        """Average over the whole image, as a vector (two operators)."""
        rows, columns, depth = self._shapes[x]
        window = Window((rows, columns), (rows, columns), "VALID")
        return self.flatten(self._append(Pool(self._name("average_pool"), (x,), (1, 1, depth), window, "AVERAGE")))

    def add(self, a: str, b: str, activation: Activation = "RELU") -> str:
        """Sum of two tensors."""
        return self._append(Add(self._name("add"), (a, b), self._shapes[a], activation))

    def concat(self, *inputs: str) -> str:
        """Inputs joined along the channels."""
        depth = sum(self._shapes[x][-1] for x in inputs)
        return self._append(Concat(self._name("concat"), inputs, (*self._shapes[inputs[0]][:-1], depth)))

    def flatten(self, x: str) -> str:
        """A vector; of images only single pixels, because ONNX would order the values of larger ones differently."""
        shape = self._shapes[x]
        if len(shape) == 3 and shape[:2] != (1, 1):
            raise ValueError(f"{x}: only 1x1 images flatten alike in channels-last and channels-first layouts")
        return self._append(Flatten(self._name("flatten"), (x,), (prod(shape),)))

    def softmax(self, x: str) -> str:
        """Probabilities."""
        return self._append(Softmax(self._name("softmax"), (x,), self._shapes[x]))

    def lstm(self, x: str, units: int) -> str:
        """LSTM that returns its output of every step."""
        steps, features = self._shapes[x]
        weights = np.stack([self._weights((units, features)) for _ in range(4)])
        recurrent = np.stack([self._weights((units, units)) for _ in range(4)]) / 2
        bias = np.stack([self._bias(units) for _ in range(4)])
        bias[1] += 1  # the usual start: remember
        return self._append(Lstm(self._name("lstm"), (x,), (steps, units), weights, recurrent, bias))

    def network(self, name: str, calibration: int | Array = 8, low: float = -1.0) -> Network:
        """What was strung together; `calibration` inputs are given, or so many are drawn from `low` … 1."""
        shape = self._shapes[INPUT]
        if isinstance(calibration, int):
            # Noise around a level of its own per input and channel: inputs of noise alone would all look the same.
            noise = self._random.uniform(low, 1, (calibration, *shape))
            level = self._random.uniform(low, 1, (calibration, *[1] * (len(shape) - 1), shape[-1]))
            calibration = (noise + level) / 2
        return Network(name, shape, tuple(self._layers), calibration)

    def _weights(self, shape: Shape) -> Array:
        # He et al. 2015: variance 2/fan-in; uniform because that needs no libm.
        limit = np.sqrt(6 / prod(shape[1:]))
        return np.asarray(self._random.uniform(-limit, limit, shape))

    def _bias(self, size: int) -> Array:
        return np.asarray(self._random.uniform(-0.5, 0.5, size))

    def _name(self, kind: str) -> str:
        return f"{kind}_{sum(layer.name.startswith(kind + '_') for layer in self._layers)}"

    def _append(self, layer: Layer) -> str:
        self._layers.append(layer)
        self._shapes[layer.name] = layer.shape
        return layer.name
