"""Irregular networks, built by hand: what operator ordering is hard on.

Cells follow the published genotypes (NASNet-A: Zoph 2018; AmoebaNet-A: Real 2019; DARTS: Liu 2019; PNASNet-5: Liu 2018)
in the network of the DARTS code: int8 NHWC feature maps, batch normalisation folded, ReLU before each convolution as an
operator of its own, a separable convolution as two pairs of depthwise and pointwise ones. RandWire follows Xie 2019.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from mcuprof.graph import DType, Graph, Op, Tensor

Cell = tuple[tuple[tuple[str, int], ...], tuple[int, ...]]  # two (operation, input) per node, nodes to join


def _cell(nodes: str, join: Sequence[int]) -> Cell:
    pairs = [item.rsplit(":", 1) for item in nodes.split()]
    return tuple((name, int(source)) for name, source in pairs), tuple(join)


NASNET = (
    _cell("sep5:1 sep3:0 sep5:0 sep3:0 pool:1 skip:0 pool:0 pool:0 sep3:1 skip:1", (2, 3, 4, 5, 6)),
    _cell("sep5:1 sep7:0 pool:1 sep7:0 pool:1 sep5:0 skip:3 pool:2 sep3:2 pool:1", (4, 5, 6)),
)
AMOEBANET = (
    _cell("pool:0 pool:1 sep3:0 sep5:2 sep3:0 pool:3 sep3:1 skip:1 skip:0 pool:1", (4, 5, 6)),
    _cell("pool:0 sep3:1 pool:0 sep7:2 sep7:0 pool:1 pool:0 pool:1 cross:0 sep3:5", (3, 4, 6)),
)
DARTS = (
    _cell("sep3:0 sep3:1 sep3:0 sep3:1 sep3:1 skip:0 skip:0 dil3:2", (2, 3, 4, 5)),
    _cell("pool:0 pool:1 skip:2 pool:1 pool:0 skip:2 skip:2 pool:1", (2, 3, 4, 5)),
)
PNASNET = (
    _cell("sep5:0 pool:0 sep7:1 pool:1 sep5:1 sep3:1 sep3:4 pool:1 sep3:0 skip:1", (2, 3, 4, 5, 6)),
    _cell("sep5:0 pool:0 sep7:1 pool:1 sep5:1 sep3:1 sep3:4 pool:1 sep3:0 skip:1", (2, 3, 4, 5, 6)),
)


class Net:
    """A graph under construction; feature maps are tensor indices."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self._tensors = [Tensor("input", (1, height, width, channels), DType.INT8)]
        self._ops: list[Op] = []
        self.input = 0

    def graph(self, name: str, *outputs: int) -> Graph:
        return Graph(name, tuple(self._tensors), tuple(self._ops), (0,), outputs)

    def channels(self, x: int) -> int:
        return self._tensors[x].shape[3]

    def op(self, kind: str, inputs: Sequence[int], channels: int = 0, stride: int = 1) -> int:
        """An operator on feature maps of one size, giving `channels` (default: those of the first), SAME padding."""
        _, height, width, depth = self._tensors[inputs[0]].shape
        shape = (1, -(-height // stride), -(-width // stride), channels or depth)
        self._tensors.append(Tensor(f"{kind.lower()}_{len(self._ops)}", shape, DType.INT8))
        self._ops.append(Op(kind, tuple(inputs), (len(self._tensors) - 1,)))
        return len(self._tensors) - 1

    def conv(self, x: int, channels: int, stride: int = 1) -> int:
        return self.op("CONV_2D", [x], channels, stride)

    def relu_conv(self, x: int, channels: int, stride: int = 1) -> int:
        return self.conv(self.op("RELU", [x]), channels, stride)

    def separable(self, x: int, stride: int = 1, times: int = 2) -> int:
        for _ in range(times):
            x = self.conv(self.op("DEPTHWISE_CONV_2D", [self.op("RELU", [x])], stride=stride), self.channels(x))
            stride = 1
        return x

    def join(self, parts: Sequence[int]) -> int:
        return self.op("CONCATENATION", parts, sum(self.channels(part) for part in parts))

    def halve(self, x: int, channels: int) -> int:
        """DARTS' factorized reduce: two strided 1x1 convolutions side by side."""
        active = self.op("RELU", [x])
        return self.join([self.conv(active, channels // 2, 2), self.conv(active, channels - channels // 2, 2)])


def _apply(net: Net, name: str, x: int, stride: int) -> int:
    if name == "skip":
        return x if stride == 1 else net.halve(x, net.channels(x))
    if name == "pool":
        return net.op("MAX_POOL_2D", [x], stride=stride)
    if name == "cross":
        return net.conv(net.relu_conv(x, net.channels(x), stride), net.channels(x))
    return net.separable(x, stride, times=1 if name == "dil3" else 2)


def nas(name: str, cells: tuple[Cell, Cell], *, size: int, repeats: int, channels: int, stem: int = 1) -> Graph:
    """Three stages of `repeats` normal cells with a reduction cell between; `stem` strided convolutions first."""
    net = Net(size, size, 3)
    previous = current = net.conv(net.input, 3 * channels, 2 if stem > 1 else 1)
    for _ in range(stem - 1):
        previous = current = net.relu_conv(current, channels, 2)
    shrunk = False
    layers = 3 * repeats + 2
    for layer in range(layers):
        reduction = layer in (layers // 3, 2 * layers // 3)
        channels *= 1 + reduction
        nodes, join = cells[reduction]
        first = net.halve(previous, channels) if shrunk else net.relu_conv(previous, channels)
        states = [first, net.relu_conv(current, channels)]
        for (left, a), (right, b) in zip(nodes[::2], nodes[1::2], strict=True):
            sides = [
                _apply(net, kind, states[source], 2 if reduction and source < 2 else 1)
                for kind, source in ((left, a), (right, b))
            ]
            states.append(net.op("ADD", sides))
        previous, current, shrunk = current, net.join([states[number] for number in join]), reduction
    return net.graph(name, net.op("MEAN", [current]))


def randwire(nodes: int, cells: int, seed: int, *, single: bool, size: int = 28, channels: int = 78) -> Graph:
    """Watts-Strogatz(nodes, 4, 0.75) cells; a node is a sum, ReLU, depthwise, pointwise; or a single operator."""
    rng = random.Random(seed)
    net = Net(size * 2, size * 2, channels // 2)
    x = net.conv(net.input, channels, 2)
    for _ in range(cells):
        edges = _small_world(nodes, rng)
        values: dict[int, int] = {}
        for node in range(nodes):
            sources = [values[a] for a, b in edges if b == node] or [x]
            if single:
                values[node] = net.op("NODE", sources)
            else:
                total = net.op("ADD_N", sources) if len(sources) > 1 else sources[0]
                values[node] = net.separable(total, times=1)
        ends = [values[node] for node in range(nodes) if all(a != node for a, _ in edges)]
        x = net.op("ADD_N", ends) if len(ends) > 1 else ends[0]
    return net.graph("randwire", x)


def _small_world(nodes: int, rng: random.Random) -> list[tuple[int, int]]:
    edges = set()
    for node in range(nodes):
        for hop in (1, 2):
            other = (node + hop) % nodes
            if rng.random() < 0.75:
                other = rng.choice([n for n in range(nodes) if n != node])
            edges.add((min(node, other), max(node, other)))
    return sorted(edges)


def swiftnet_like(seed: int, *, cells: int = 3, width: int = 20) -> Graph:
    """Random cells of small convolutions on earlier values of the cell, joined at the end."""
    rng = random.Random(seed)
    net = Net(64, 64, 3)
    x = net.conv(net.input, 16, 2)
    for cell in range(cells):
        values = [x]
        for _ in range(width):
            kind = rng.choice(("conv", "separable", "add"))
            source = rng.choice(values[-6:])
            if kind == "add" and len(values) > 1:
                same = [value for value in values if net.channels(value) == net.channels(source)]
                values.append(net.op("ADD", [source, rng.choice(same)]))
            elif kind == "separable":
                values.append(net.separable(source, times=1))
            else:
                values.append(net.conv(source, rng.choice((8, 16, 24))))
        x = net.conv(net.join(values[-6:]), 16 * (cell + 2), 2)
    return net.graph("swiftnet", x)


def inception_v3() -> Graph:
    """Stem and the eleven mixed blocks of Inception-v3 at 299 pixels."""
    net = Net(299, 299, 3)
    x = net.conv(net.conv(net.conv(net.input, 32, 2), 32), 64)
    x = net.op("MAX_POOL_2D", [net.conv(net.conv(net.op("MAX_POOL_2D", [x], stride=2), 80), 192)], stride=2)

    def tower(source: int, *channels: int, last: int = 1) -> int:
        for number, count in enumerate(channels):
            source = net.conv(source, count, last if number == len(channels) - 1 else 1)
        return source

    def pooled(source: int, channels: int) -> int:
        return net.conv(net.op("AVERAGE_POOL_2D", [source]), channels)

    for pool in (32, 64, 64):
        x = net.join([tower(x, 64), tower(x, 48, 64), tower(x, 64, 96, 96), pooled(x, pool)])
    x = net.join([tower(x, 384, last=2), tower(x, 64, 96, 96, last=2), net.op("MAX_POOL_2D", [x], stride=2)])
    for mid in (128, 160, 160, 192):
        x = net.join([tower(x, 192), tower(x, mid, mid, 192), tower(x, mid, mid, mid, mid, 192), pooled(x, 192)])
    x = net.join(
        [tower(x, 192, 320, last=2), tower(x, 192, 192, 192, 192, last=2), net.op("MAX_POOL_2D", [x], stride=2)]
    )
    for _ in range(2):
        two, three = net.conv(x, 384), tower(x, 448, 384)
        sides = [net.conv(two, 384), net.conv(two, 384), net.conv(three, 384), net.conv(three, 384)]
        x = net.join([net.conv(x, 320), *sides, pooled(x, 192)])
    return net.graph("inception", net.op("MEAN", [x]))


def mobilenet_ssd() -> Graph:
    """MobileNetV2 at 300 pixels with six pairs of box and class heads that stay until the end."""
    net = Net(300, 300, 3)
    x = net.conv(net.input, 32, 2)
    heads: list[int] = []

    def head(source: int) -> None:
        heads.extend(net.conv(net.op("DEPTHWISE_CONV_2D", [source]), channels) for channels in (24, 546))

    plan = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, channels, repeats, stride in plan:
        for number in range(repeats):
            wide = net.conv(x, net.channels(x) * expansion) if expansion > 1 else x
            if channels == 160 and number == 0:
                head(wide)
            down = net.op("DEPTHWISE_CONV_2D", [wide], stride=stride if number == 0 else 1)
            narrow = net.conv(down, channels)
            x = net.op("ADD", [x, narrow]) if number else narrow
    x = net.conv(x, 1280)
    head(x)
    for channels in (512, 256, 256, 128):
        x = net.conv(net.op("DEPTHWISE_CONV_2D", [net.conv(x, channels // 2)], stride=2), channels)
        head(x)
    return net.graph("ssd", *heads)


NETWORKS: Mapping[str, Callable[[], Graph]] = {
    "Inception-v3": inception_v3,
    "MobileNetV2-300 + SSD heads": mobilenet_ssd,
    "SwiftNet-like, seed 0": lambda: swiftnet_like(0),
    "SwiftNet-like, seed 1": lambda: swiftnet_like(1),
    "SwiftNet-like, large": lambda: swiftnet_like(2, cells=4, width=36),
    "NASNet-A CIFAR N=1": lambda: nas("nasnet", NASNET, size=32, repeats=1, channels=32),
    "NASNet-A CIFAR N=6": lambda: nas("nasnet", NASNET, size=32, repeats=6, channels=32),
    "NASNet-A ImageNet N=4": lambda: nas("nasnet", NASNET, size=224, repeats=4, channels=44, stem=3),
    "AmoebaNet CIFAR N=6": lambda: nas("amoebanet", AMOEBANET, size=32, repeats=6, channels=36),
    "DARTS CIFAR N=6": lambda: nas("darts", DARTS, size=32, repeats=6, channels=36),
    "DARTS ImageNet N=4": lambda: nas("darts", DARTS, size=224, repeats=4, channels=48, stem=3),
    "PNASNet CIFAR N=6": lambda: nas("pnasnet", PNASNET, size=32, repeats=6, channels=32),
    "RandWire WS(32,4,.75)x3, 1 op per node": lambda: randwire(32, 3, 0, single=True),
    "RandWire WS(32,4,.75)x3, seed 0": lambda: randwire(32, 3, 0, single=False),
    "RandWire WS(32,4,.75)x3, seed 1": lambda: randwire(32, 3, 1, single=False),
    "RandWire WS(64,4,.75)x1": lambda: randwire(64, 1, 0, single=True),
}
