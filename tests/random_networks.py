"""Small random int8 networks in which many channels are dead: filters of zeros, biases that saturate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcuprof.graph import Attribute, DType, Graph, Op, Origin, Quantization, Tensor

INT8_MIN, INT8_MAX = -128, 127


class Network:
    """Grows a graph operator by operator; every method returns the index of the tensor it makes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def tensor(self, shape: tuple[int, ...], like: int | None = None) -> int:
        quantization = (
            Quantization(
                (float(np.float32(self.rng.uniform(0.02, 0.1))),),
                (int(self.rng.choice([INT8_MIN, 0, int(self.rng.integers(-100, 100))])),),
            )
            if like is None
            else self.tensors[like].quantization
        )
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, DType.INT8, quantization))
        return len(self.tensors) - 1

    def constant(self, values: Any, dtype: DType = DType.INT32, quantization: Quantization | None = None) -> int:
        array = np.ascontiguousarray(values, dtype.value)
        self.tensors.append(
            Tensor(f"c{len(self.tensors)}", array.shape, dtype, quantization, memoryview(array.tobytes()))
        )
        return len(self.tensors) - 1

    def op(
        self, kind: str, inputs: list[int], shape: tuple[int, ...], like: int | None = None, **attributes: Attribute
    ) -> int:
        out = self.tensor(shape, like)
        self.ops.append(Op(kind, tuple(inputs), (out,), _plain(attributes), version=1, source=kind))
        return out

    def shape(self, index: int) -> tuple[int, ...]:
        return self.tensors[index].shape

    def weighted(self, kind: str, x: int, weights: Any, shape: tuple[int, ...], out_axis: int, **options: Any) -> int:
        """A layer with these weights after some output channels were killed, and a bias that saturates others."""
        count = weights.shape[out_axis]
        shape_of_one = [1] * weights.ndim
        shape_of_one[out_axis] = count
        weights = np.where(self.rng.random(count).reshape(shape_of_one) < 0.2, 0, weights)
        bias = self.rng.integers(-2000, 2000, count)
        bias[self.rng.random(count) < 0.2] = self.rng.choice([-400_000, 400_000])
        scales = tuple(float(np.float32(s)) for s in self.rng.uniform(0.001, 0.02, count))
        w = self.constant(weights, DType.INT8, Quantization(scales, (0,) * count, out_axis))
        product = tuple(float(np.float32(self.quantization(x).scale[0] * s)) for s in scales)
        b = self.constant(bias, DType.INT32, Quantization(product, (0,) * count))
        activation = str(self.rng.choice(["NONE", "RELU", "RELU6"]))
        return self.op(kind, [x, w, b], shape, activation=activation, **options)

    def quantization(self, index: int) -> Quantization:
        found = self.tensors[index].quantization
        assert found is not None
        return found

    def window(self, x: int, kernel: int) -> tuple[dict[str, Any], int, int]:
        """Random stride, dilation and padding that leave an output; (attributes, out height, out width)."""
        _, h, w, _ = self.shape(x)
        stride, dilation = int(self.rng.integers(1, 3)), int(self.rng.integers(1, 3))
        span = (kernel - 1) * dilation + 1
        if stride > 1 and dilation > 1:
            dilation, span = 1, kernel
        padding = "SAME" if span > min(h, w) else str(self.rng.choice(["SAME", "VALID"]))
        sizes = [-(-n // stride) if padding == "SAME" else (n - span) // stride + 1 for n in (h, w)]
        fields = {"padding": padding, "stride_h": stride, "stride_w": stride}
        return {**fields, "dilation_h": dilation, "dilation_w": dilation}, sizes[0], sizes[1]

    def conv(self, x: int) -> int:
        kernel, out_c = int(self.rng.integers(1, 4)), int(self.rng.integers(1, 9))
        fields, h, w = self.window(x, kernel)
        weights = self.rng.integers(-127, 128, (out_c, kernel, kernel, self.shape(x)[3]))
        weights[..., self.rng.random(weights.shape[3]) < 0.2] = 0
        return self.weighted("CONV_2D", x, weights, (1, h, w, out_c), 0, **fields)

    def depthwise(self, x: int) -> int:
        kernel, multiplier = int(self.rng.integers(1, 4)), int(self.rng.choice([1, 1, 1, 2]))
        fields, h, w = self.window(x, kernel)
        channels = self.shape(x)[3] * multiplier
        weights = self.rng.integers(-127, 128, (1, kernel, kernel, channels))
        return self.weighted("DEPTHWISE_CONV_2D", x, weights, (1, h, w, channels), 3, multiplier=multiplier, **fields)

    def padded_conv(self, x: int) -> int:
        before, after = self.rng.integers(0, 3, 2).tolist()
        pads = self.constant([[0, 0], [before, after], [before, after], [0, 0]])
        n, h, w, c = self.shape(x)
        more = before + after
        padded = self.op("PAD", [x, pads], (n, h + more, w + more, c), like=x)
        return self.conv(padded)

    def pool(self, x: int) -> int:
        kind = str(self.rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
        fields, h, w = self.window(x, 2)
        for name in ("dilation_h", "dilation_w"):
            fields.pop(name)
        n, in_h, in_w, c = self.shape(x)
        stride, padding = fields["stride_h"], fields["padding"]
        h, w = (-(-v // stride) if padding == "SAME" else (v - 2) // stride + 1 for v in (in_h, in_w))
        return self.op(kind, [x], (n, h, w, c), like=x, filter_h=2, filter_w=2, **fields)

    def unary(self, x: int) -> int:
        kind = str(self.rng.choice(["RELU", "HARD_SWISH", "QUANTIZE", "LEAKY_RELU"]))
        extra: dict[str, Any] = {"alpha": 0.1} if kind == "LEAKY_RELU" else {}
        return self.op(kind, [x], self.shape(x), **extra)

    def scaled(self, x: int) -> int:
        """Times or plus a constant per channel."""
        kind = str(self.rng.choice(["ADD", "MUL", "SUB"]))
        channels = self.shape(x)[-1]
        values = np.where(self.rng.random(channels) < 0.3, 5, self.rng.integers(-127, 128, channels))
        other = self.constant(values.reshape(1, 1, 1, -1), DType.INT8, Quantization((0.02,), (5,)))
        return self.op(kind, [x, other], self.shape(x), activation="NONE")

    def joined(self, x: int) -> int:
        """x with a convolution of it: added, or side by side."""
        channels = self.shape(x)[3]
        weights = self.rng.integers(-127, 128, (channels, 1, 1, channels))
        fields = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}
        branch = self.weighted("CONV_2D", x, weights, self.shape(x), 0, **fields)
        if self.rng.random() < 0.5:
            return self.op("ADD", [x, branch], self.shape(x), activation="NONE")
        self.tensors[branch] = Tensor("t_branch", self.shape(x), DType.INT8, self.quantization(x))
        shape = (*self.shape(x)[:3], 2 * channels)
        return self.op("CONCATENATION", [x, branch], shape, like=x, axis=3, activation="NONE")

    def dense(self, x: int, features: int) -> int:
        weights = self.rng.integers(-127, 128, (features, self.shape(x)[-1]))
        return self.weighted("FULLY_CONNECTED", x, weights, (1, features), 0, weights_format=0, keep_num_dims=False)

    def head(self, x: int) -> int:
        """Flattened or averaged, then two dense layers."""
        _, h, w, c = self.shape(x)
        if self.rng.random() < 0.5:
            x = self.op("MEAN", [x, self.constant([1, 2])], (1, c), keep_dims=False)
        else:
            x = self.op("RESHAPE", [x, self.constant([1, h * w * c])], (1, h * w * c), like=x, new_shape=(1, h * w * c))
        return self.dense(self.dense(x, 6), 4)


def _plain(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return dict(attributes)


def random_network(seed: int) -> Graph:
    """An image of up to 7 × 7 × 4 through 3 to 6 random layers and, half of the time, a dense head."""
    net = Network(seed)
    x = net.tensor((1, *net.rng.integers(3, 8, 2).tolist(), int(net.rng.integers(1, 5))))
    first = x
    layers = (net.conv, net.conv, net.depthwise, net.depthwise, net.padded_conv, net.pool, net.unary, net.scaled)
    for _ in range(int(net.rng.integers(3, 7))):
        layer = (*layers, net.joined)[int(net.rng.integers(0, 9))]
        x = layer(x)
    if net.rng.random() < 0.5:
        x = net.head(x)
    return Graph("random", tuple(net.tensors), tuple(net.ops), (first,), (x,), Origin(format="tflite"))
