"""Images that join a region from outside (skip connections): what tflite-micro makes of the stripes."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from mcuprof.graph import Graph, Origin
from mcuprof.rewrites.split import Option, Outline, options, turned
from mcuprof.rewrites.split.regions import Region, regions
from tests.rewrites.image_networks import ImageNetwork
from tests.rewrites.test_split import differing, tariff


def skipping(seed: int) -> Graph:
    """Branches of one image that are joined later, by ADD or along channels, and sometimes read again after that."""
    net = ImageNetwork(seed)
    first = net.image()
    skip = net.conv(first, same=True)
    other = net.conv(skip, same=True)
    x = net.conv(other, same=True)
    for _ in range(int(net.rng.integers(1, 3))):
        y = skip if net.rng.random() < 0.6 else other
        if net.rng.random() < 0.5 or net.shape(x) != net.shape(y):
            _, h, w, c = net.shape(x)
            both = (1, h, w, c + net.shape(y)[3])
            y = net.op("QUANTIZE", [y], net.shape(y), like=x)  # TFLM joins channels of one scale
            x = net.op("CONCATENATION", [x, y], both, like=x, axis=3, activation="NONE")
        else:
            x = net.op("ADD", [x, y], net.shape(x), activation="NONE")
        x = net.conv(x, same=net.rng.random() < 0.5)
        if net.shape(x)[1:3] != net.shape(skip)[1:3]:
            break
    return Graph(f"skip{seed}", tuple(net.tensors), tuple(net.ops), (first,), (x,), Origin("tflite"))


def joined(outline: Outline) -> list[Region]:
    return [region for region in regions(outline) if region.sides]


def cases(count: int, start: int = 0) -> Iterator[tuple[int, Graph, Option, Outline]]:
    """`count` networks, each with one split of a region that an image joins from outside."""
    seed = start
    while count:
        graph = skipping(seed)
        outline, rng = Outline(graph), random.Random(seed)
        found = joined(outline)
        rng.shuffle(found)
        for region in found:
            every = options(outline, region, tariff(graph), finest=16, every=True)
            every += [o for option in every[:2] for o in turned(outline, option, tariff(graph), 16)]
            if every:
                yield seed, graph, rng.choice(every), outline
                count -= 1
                break
        seed += 1


def test_skip_connections_change_no_value() -> None:
    assert [seed for seed, *case in cases(30) if differing(*_ordered(case), seed)[0]] == []


@pytest.mark.slow
def test_five_hundred_skip_connections_change_no_value() -> None:
    assert [seed for seed, *case in cases(500, start=1000) if differing(*_ordered(case), seed)[0]] == []


def _ordered(case: list[object]) -> tuple[Graph, Option, Outline]:
    graph, option, outline = case
    assert isinstance(graph, Graph) and isinstance(option, Option) and isinstance(outline, Outline)
    return graph, option, outline


def enlarging(seed: int) -> Graph:
    """A small image made larger by copying neighbours, by a power of two, and convolved."""
    net = ImageNetwork(seed)
    first = net.image()
    x = net.conv(first, same=True)
    for _ in range(int(net.rng.integers(1, 3))):
        _, h, w, c = net.shape(x)
        up, across = int(2 ** net.rng.integers(1, 3)), int(net.rng.integers(1, 3))
        size = net.constant([up * h, across * w])
        centers = bool(net.rng.random() < 0.5)
        options = {"align_corners": False, "half_pixel_centers": centers}
        x = net.op("RESIZE_NEAREST_NEIGHBOR", [x, size], (1, up * h, across * w, c), like=x, **options)
        x = net.conv(x)
        if min(net.shape(x)[1:3]) < 3:
            break
    return Graph(f"enlarged{seed}", tuple(net.tensors), tuple(net.ops), (first,), (x,), Origin("tflite"))


def test_enlarged_images_change_no_value() -> None:
    wrong, tried = [], 0
    for seed in range(25):
        graph = enlarging(seed)
        outline, rng = Outline(graph), random.Random(seed)
        resize = next(index for index, op in enumerate(graph.ops) if op.kind == "RESIZE_NEAREST_NEIGHBOR")
        around = [region for region in regions(outline) if region.first <= resize <= region.last]
        rng.shuffle(around)
        every = [o for region in around[:2] for o in options(outline, region, tariff(graph), finest=16, every=True)]
        if every:
            tried += 1
            wrong += [seed] if differing(graph, rng.choice(every), outline, seed)[0] else []
    assert wrong == [] and tried >= 20
