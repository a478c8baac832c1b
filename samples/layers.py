"""The words a sample network is written in: a list of layers in execution order, channels last, batch left out.

A layer's name is also the name of its output. Float weights live in the layer, so that the simulation, the calibration
and all three file formats start from the same description.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Shape = tuple[int, ...]
Pair = tuple[int, int]
Padding = Literal["SAME", "VALID"]
Activation = Literal["NONE", "RELU", "RELU6"]

INPUT = "input"
GATES = ("input", "forget", "cell", "output")  # the order of TFLite's LSTM operators


@dataclass(frozen=True, eq=False)
class Layer:
    """An operator: `inputs` name earlier layers (or `INPUT`), `shape` is that of the one output."""

    name: str
    inputs: tuple[str, ...]
    shape: Shape

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return 0


@dataclass(frozen=True, eq=False)
class Window:
    """Where a kernel is applied to an image; `SAME` pads as TensorFlow does, the odd row and column at the end."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = "SAME"

    def output(self, size: Pair) -> Pair:
        """Rows and columns of the result."""
        rows, columns = (
            -(-extent // step) if self.padding == "SAME" else (extent - width) // step + 1
            for extent, width, step in zip(size, self.kernel, self.stride, strict=True)
        )
        return rows, columns

    def pads(self, size: Pair) -> tuple[Pair, Pair]:
        """Zeros (before, after) the rows and the columns."""
        rows, columns = (
            max((out - 1) * step + width - extent, 0) if self.padding == "SAME" else 0
            for extent, out, width, step in zip(size, self.output(size), self.kernel, self.stride, strict=True)
        )
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """2-D convolution, weights [out, rows, columns, in/groups], bias [out]; depthwise when `groups` > 1."""

    window: Window
    groups: int
    weights: Array
    bias: Array
    activation: Activation

    @property
    def macs(self) -> int:
        """Every output takes one dot product of a filter's size."""
        return prod(self.shape) * prod(self.weights.shape[1:])


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """Fully connected, weights [out, in], bias [out]."""

    weights: Array
    bias: Array
    activation: Activation

    @property
    def macs(self) -> int:
        """One per weight."""
        return self.weights.size


@dataclass(frozen=True, eq=False)
class Pool(Layer):
    """Average (over what lies inside the image) or maximum of each window."""

    window: Window
    kind: Literal["AVERAGE", "MAX"]


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """Sum of two tensors of one shape."""

    activation: Activation


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """Inputs one behind the other along the channels."""


@dataclass(frozen=True, eq=False)
class Flatten(Layer):
    """The same values as a vector."""


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """Probabilities along the last axis."""


@dataclass(frozen=True, eq=False)
class Lstm(Layer):
    """LSTM over [time, features], output [time, units].

    Weights are [gate, units, in], recurrent weights [gate, units, units], biases [gate, units], gates as in `GATES`.
    """

    weights: Array
    recurrent: Array
    bias: Array

    @property
    def cell(self) -> str:
        """Name of the state kept between steps."""
        return f"{self.name}/cell"

    @property
    def macs(self) -> int:
        """Both matrices at every step; the elementwise products of the cell are not counted."""
        return self.shape[0] * (self.weights.size + self.recurrent.size)


@dataclass(frozen=True, eq=False)
class Network:
    """A named network and the inputs [n, *input_shape] that decide the ranges of its activations."""

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    calibration: Array

    @property
    def output(self) -> str:
        """Name of the only output: that of the last layer."""
        return self.layers[-1].name

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    def shape(self, name: str) -> Shape:
        """Shape of the input or of a layer's output."""
        return self.input_shape if name == INPUT else next(x.shape for x in self.layers if x.name == name)
