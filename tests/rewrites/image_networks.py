"""Small random int8 networks that go row by row: what stripes must get right, in every combination of geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcuprof.graph import DType, Graph, Origin, Quantization
from tests.random_networks import Network


class ImageNetwork(Network):
    """Layers whose outputs depend on all of their inputs: no dead channels, hardly any saturation."""

    def image(self) -> int:
        height, width = int(self.rng.integers(8, 25)), int(self.rng.integers(3, 9))
        return self.tensor((1, height, width, int(self.rng.integers(1, 5))))

    def geometry(
        self, x: int, most: int = 7, strides: int = 3, dilate: bool = True
    ) -> tuple[dict[str, Any], int, int, int]:
        """(options, kernel, out height, out width) of a window that leaves an output."""
        _, h, w, _ = self.shape(x)
        kernel = int(self.rng.integers(1, most + 1))
        dilation = int(self.rng.integers(1, 3)) if dilate else 1
        stride = int(self.rng.integers(1, strides + 1))
        span = (kernel - 1) * dilation + 1
        padding = "VALID" if span <= min(h, w) and self.rng.random() < 0.4 else "SAME"
        sizes = [-(-n // stride) if padding == "SAME" else (n - span) // stride + 1 for n in (h, w)]
        options: dict[str, Any] = {"padding": padding, "stride_h": stride, "stride_w": stride}
        if dilate:
            options |= {"dilation_h": dilation, "dilation_w": dilation}
        return options, kernel, sizes[0], sizes[1]

    def filters(self, shape: tuple[int, ...], axis: int, x: int) -> tuple[int, int]:
        """Weights and bias, scaled so that outputs spread over the range of int8."""
        count, taps = shape[axis], int(np.prod(shape)) // shape[axis]
        scales = tuple(float(np.float32(s)) for s in self.rng.uniform(0.5, 1.5, count) / (40 * np.sqrt(taps)))
        w = self.constant(self.rng.integers(-127, 128, shape), DType.INT8, Quantization(scales, (0,) * count, axis))
        product = tuple(float(np.float32(self.quantization(x).scale[0] * s)) for s in scales)
        return w, self.constant(self.rng.integers(-500, 500, count), DType.INT32, Quantization(product, (0,) * count))

    def conv(self, x: int, same: bool = False) -> int:
        """CONV_2D; `same` keeps rows, columns and channels."""
        channels = self.shape(x)[3]
        options, kernel, h, w = self.geometry(x, strides=1 if same else 3)
        if same:
            options["padding"], (h, w) = "SAME", self.shape(x)[1:3]
        count = channels if same else int(self.rng.integers(1, 7))
        weights, bias = self.filters((count, kernel, kernel, channels), 0, x)
        return self.op("CONV_2D", [x, weights, bias], (1, h, w, count), activation="NONE", **options)

    def depthwise(self, x: int) -> int:
        channels = self.shape(x)[3]
        options, kernel, h, w = self.geometry(x)
        weights, bias = self.filters((1, kernel, kernel, channels), 3, x)
        out = (1, h, w, channels)
        return self.op("DEPTHWISE_CONV_2D", [x, weights, bias], out, activation="NONE", multiplier=1, **options)

    def pool(self, x: int) -> int:
        kind = str(self.rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
        options, kernel, h, w = self.geometry(x, most=4, dilate=False)
        options |= {"filter_h": kernel, "filter_w": kernel, "activation": "NONE"}
        return self.op(kind, [x], (1, h, w, self.shape(x)[3]), like=x, **options)

    def pad(self, x: int) -> int:
        pads = self.rng.integers(0, 3, (2, 2))
        _, h, w, c = self.shape(x)
        amounts = self.constant([[0, 0], *pads.tolist(), [0, 0]])
        return self.op("PAD", [x, amounts], (1, h + int(pads[0].sum()), w + int(pads[1].sum()), c), like=x)

    def residual(self, x: int) -> int:
        y = self.conv(x, same=True)
        if self.rng.random() < 0.5:
            y = self.conv(y, same=True)
        return self.op("ADD", [x, y], self.shape(x), activation="NONE")


def image_network(seed: int) -> Graph:
    """Two to six layers; everything but constants is NHWC with batch 1. Some have a second output, from within."""
    net = ImageNetwork(seed)
    first = x = net.image()
    layers = (net.conv, net.depthwise, net.pool, net.pad, net.residual, net.residual)
    for choice in net.rng.integers(0, len(layers), int(net.rng.integers(2, 7))):
        if min(net.shape(x)[1:3]) < 3:
            break
        x = layers[int(choice)](x)
    if x == first:
        x = net.conv(x)
    outputs = [x]
    earlier = [op.outputs[0] for op in net.ops[:-1]]
    if earlier and net.rng.random() < 0.3:
        outputs.append(int(net.rng.choice(earlier)))
    return Graph(f"image{seed}", tuple(net.tensors), tuple(net.ops), (first,), tuple(outputs), Origin("tflite"))
