"""How many candidates of an architecture search can be costed per second on one core.

Candidates are random widths and resolutions of MobileNetV1-, MobileNetV2- and ResNet-like networks: a new network each
time, made of layers that have partly been seen before, as in a search. CPU time of this process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import mcuprof
from benchmarks.table import table, write
from mcuprof.analysis import Options, analyze
from mcuprof.hardware import Device
from mcuprof.search import Builder, Candidate, Evaluator, Layer, cost_batch
from mcuprof.search.layers import add, conv, dense, depthwise, mean, softmax

DEVICE = "nucleo-l4r5zi"
SECONDS = 1.5
BATCH = 5_000
WIDTHS = (0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0)
SIZES = tuple(range(48, 225, 16))


def run() -> None:
    """Writes `results/throughput.md`."""
    device = mcuprof.device(DEVICE)
    rows = [[name, *_measured(make, device)] for name, make in FAMILIES.items()]
    head = ["candidates", "operators", "analyze", "latency + flash", "and exact arena", "and optimal order", "batch"]
    parts = [table(f"Evaluations per second on one core, {DEVICE}", head, rows)]
    print(write("throughput", "Throughput of search loops", parts))


def _measured(make: Callable[[random.Random], Candidate], device: Device) -> list[object]:
    builder = Builder()
    plain, planned = Evaluator(device), Evaluator(device, Options(order="optimal"))
    rng = random.Random(0)
    batch = [make(rng) for _ in range(BATCH)]
    cost_batch(batch[:1], device)
    start = time.process_time()
    cost_batch(batch, device)
    together = BATCH / (time.process_time() - start)
    return [
        len(batch[0][0]),
        *_rates(
            make,
            lambda layers, shape: analyze(builder.graph(layers, shape), device),
            lambda layers, shape: plain.cost(builder.graph(layers, shape), memory=False),
            lambda layers, shape: plain.cost(builder.graph(layers, shape)),
            lambda layers, shape: planned.cost(builder.graph(layers, shape)),
        ),
        round(together),
    ]


def _rates(make: Callable[[random.Random], Candidate], *calls: Callable[..., object]) -> list[int]:
    """Calls per second of each, every one on candidates of its own."""
    found = []
    for seed, call in enumerate(calls):
        rng = random.Random(seed)
        candidates = [make(rng) for _ in range(int(2_000 * SECONDS))]
        start, done = time.process_time(), 0
        while done < len(candidates) and time.process_time() - start < SECONDS:
            call(*candidates[done])
            done += 1
        found.append(round(done / (time.process_time() - start)))
    return found


def _scaled(channels: int, width: float) -> int:
    """MobileNet's rule: multiples of 8."""
    return max(8, int(channels * width + 4) // 8 * 8)


def mobilenet_v1(rng: random.Random) -> Candidate:
    """Howard et al. 2017, width and resolution drawn."""
    width = rng.choice(WIDTHS)
    net: list[Layer] = [conv(_scaled(32, width), 3, 2, "RELU6")]
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for channels, stride in blocks:
        net += [depthwise(3, stride, "RELU6"), conv(_scaled(channels, width), 1, 1, "RELU6")]
    return _image(rng, net)


def mobilenet_v2(rng: random.Random) -> Candidate:
    """Sandler et al. 2018: expansion, repeats, width of every stage and resolution drawn."""
    stem = rng.choice((8, 16, 24, 32))
    net: list[Layer] = [conv(stem, 3, 2, "RELU6"), depthwise(3, 1, "RELU6"), conv(_scaled(16, 1), 1, 1, "NONE")]
    inputs = 16
    for channels, most, stride in ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)):
        outputs, expansion = _scaled(channels, rng.choice(WIDTHS)), rng.choice((3, 4, 6))
        for number in range(rng.randint(1, most)):
            step = stride if number == 0 else 1
            net += [conv(inputs * expansion, 1, 1, "RELU6"), depthwise(3, step, "RELU6"), conv(outputs, 1, 1, "NONE")]
            if number:
                net.append(add(-1, -4))
            inputs = outputs
    return _image(rng, net)


def resnet(rng: random.Random) -> Candidate:
    """He et al. 2016, for CIFAR: depth, width of every stage and resolution drawn."""
    inputs = rng.choice((8, 12, 16, 24))
    net: list[Layer] = [conv(inputs)]
    for stage in range(3):
        outputs = rng.choice((8, 12, 16, 24, 32)) * 2**stage
        for number in range(rng.randint(1, 4)):
            step = 2 if stage and number == 0 else 1
            net += [conv(outputs, 3, step), conv(outputs, activation="NONE")]
            if step > 1 or outputs != inputs:
                net += [conv(outputs, 1, step, "NONE")._replace(inputs=(-3,)), add(-2, -1, "RELU")]
            else:
                net.append(add(-1, -3, "RELU"))
            inputs = outputs
    return [*net, mean(), dense(10), softmax()], (rng.choice((32, 40, 48, 64)),) * 2 + (3,)


def _image(rng: random.Random, net: Sequence[Layer]) -> Candidate:
    size = rng.choice(SIZES)
    return [*net, mean(), dense(rng.choice((2, 10, 100))), softmax()], (size, size, 3)


FAMILIES: dict[str, Callable[[random.Random], Candidate]] = {
    "MobileNetV1-like": mobilenet_v1,
    "MobileNetV2-like": mobilenet_v2,
    "ResNet-like": resnet,
}
