from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

import mcuprof
from mcuprof.analysis import Options, analyze
from mcuprof.errors import UsageError
from mcuprof.graph import Graph
from mcuprof.hardware import Calibration
from mcuprof.search import Builder, Cost, Evaluator, Layer, cost, cost_batch, cost_from_layers
from mcuprof.search import layers as words
from tests.corpus import models, needs_shared

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
DEVICES = ("nucleo-l4r5zi", "nucleo-h743zi", "esp32-s3-devkitc-1", "raspberry-pi-pico", "apollo510-evb")


def mobilenet_v1(width: float, classes: int = 2) -> list[Layer]:
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    net = [words.conv(int(32 * width), 3, 2, "RELU6")]
    for channels, stride in blocks:
        net += [words.depthwise(3, stride, "RELU6"), words.conv(int(channels * width), 1, 1, "RELU6")]
    return net


def classifier(net: list[Layer], size: int, classes: int) -> list[Layer]:
    return [*net, words.average_pool(size), words.flatten(), words.dense(classes), words.softmax()]


def resnet8() -> list[Layer]:
    net = [words.conv(16)]
    net += [words.conv(16), words.conv(16, activation="NONE"), words.add(-1, -3, "RELU")]
    for channels in (32, 64):
        net += [words.conv(channels, 3, 2), words.conv(channels, activation="NONE")]
        net += [words.conv(channels, 1, 2, "NONE")._replace(inputs=(-3,)), words.add(-2, -1, "RELU")]
    return net


def ds_cnn() -> list[Layer]:
    net = [words.conv(64, (10, 4), 2)]
    for _ in range(4):
        net += [words.depthwise(), words.conv(64, 1)]
    return net


# The networks of samples/networks.py, whose files hold what a converter writes.
TWINS: dict[str, tuple[Callable[[], list[Layer]], tuple[int, int, int]]] = {
    "mobilenet_v1_025_96_int8": (lambda: classifier(mobilenet_v1(0.25), 3, 2), (96, 96, 3)),
    "resnet8_int8": (lambda: classifier(resnet8(), 8, 10), (32, 32, 3)),
    "ds_cnn_int8": (lambda: [*ds_cnn(), *classifier([], (25, 5), 12)], (49, 10, 1)),  # type: ignore[arg-type]
}


def test_the_public_cost_takes_a_file_or_a_graph_and_agrees_with_analyze() -> None:
    device, path = mcuprof.device("nucleo-l4r5zi"), SAMPLES / "ds_cnn_int8.tflite"
    graph = mcuprof.load(path)
    assert mcuprof.cost(path, device) == mcuprof.cost(str(path), device) == mcuprof.cost(graph, device)
    assert_equal(mcuprof.cost(graph, device), graph, device)
    assert mcuprof.cost(path, device, memory=False).ram_bytes is None


def assert_equal(found: Cost, graph: Graph, device: mcuprof.hardware.Device, options: Options | None = None) -> None:
    result = analyze(graph, device, options)
    memory, latency = result.memory, result.latency
    assert (found.arena_bytes, found.min_arena_bytes) == (memory.arena_bytes, memory.min_arena_bytes)
    assert found.stack_bytes == memory.stack_bytes
    assert found.flash_bytes == result.flash.total_bytes
    assert found.flash_complete is not any(f.code == "F203" for f in result.verdict.findings)
    assert found.arena_exact is not any(f.code == "M109" for f in result.verdict.findings)
    assert found.macs == result.model.macs
    if latency is None:
        assert found.ms is found.cycles is found.instructions is None
        assert found.basis == f"no data: {result.latency_reason}"
    else:
        assert (found.instructions, found.cycles, found.ms) == (latency.instructions, latency.cycles, latency.ms)
        assert (found.low_ms, found.high_ms, found.basis) == (latency.low_ms, latency.high_ms, latency.basis)


@pytest.mark.parametrize("device", DEVICES)
def test_costs_are_those_of_the_report(device: str) -> None:
    target = mcuprof.device(device)
    evaluator = Evaluator(target)
    for path in sorted(SAMPLES.glob("*_int8.tflite")):
        graph = mcuprof.load(path)
        assert_equal(evaluator.cost(graph), graph, target)
        assert_equal(evaluator.cost(mcuprof.load(path)), graph, target)  # operators that only look alike
        assert cost(path, target) == evaluator.cost(graph)


@needs_shared
@pytest.mark.slow
def test_costs_are_those_of_the_report_for_the_corpus() -> None:
    target = mcuprof.device("nucleo-l4r5zi")
    evaluator = Evaluator(target)
    compared = 0
    for entry in models():
        try:
            graph = mcuprof.load(entry.path)
            analyze(graph, target)
        except mcuprof.errors.McuprofError:
            continue
        assert_equal(evaluator.cost(graph), graph, target)
        compared += 1
    assert compared > 150


@pytest.mark.parametrize("name", ["inception_int8", "resnet8_int8"])
def test_a_planned_order_is_that_of_the_report(name: str) -> None:
    target, options = mcuprof.device("nucleo-l4r5zi"), Options(order="optimal")
    graph = mcuprof.load(SAMPLES / f"{name}.tflite")
    found = Evaluator(target, options).cost(graph)
    assert_equal(found, graph, target, options)
    if name == "inception_int8":
        assert found.arena_bytes is not None
        assert found.arena_bytes < analyze(graph, target).memory.arena_bytes


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("device", DEVICES)
def test_layers_cost_what_the_file_of_that_network_costs(name: str, device: str) -> None:
    build, shape = TWINS[name]
    target = mcuprof.device(device)
    found = cost_from_layers(build(), target, input_shape=shape)
    real = cost(SAMPLES / f"{name}.tflite", target)
    for field in ("arena_bytes", "min_arena_bytes", "stack_bytes", "macs", "instructions", "cycles", "ms", "basis"):
        assert getattr(found, field) == getattr(real, field), field
    # All but the size of the file, which is modelled.
    assert abs(found.flash_bytes - real.flash_bytes) <= 0.05 * (SAMPLES / f"{name}.tflite").stat().st_size


def random_candidate(rng: random.Random) -> tuple[list[Layer], tuple[int, ...]]:
    size, width = rng.choice((32, 48, 64, 96)), rng.choice((0.1, 0.25, 0.35, 0.5))
    if rng.random() < 0.5:
        return [*mobilenet_v1(width), words.mean(), words.dense(rng.randint(2, 9)), words.softmax()], (size, size, 3)
    net = [*resnet8(), words.concat(-1, -1), words.max_pool(2), words.mean(), words.dense(rng.randint(2, 9))]
    return net, (size, size, rng.randint(1, 3))


@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_costs_what_its_candidates_cost(device: str) -> None:
    rng, target = random.Random(1), mcuprof.device(device)
    candidates = [random_candidate(rng) for _ in range(40)]
    found = cost_batch(candidates, target)
    for index, (layers, shape) in enumerate(candidates):
        one = cost_from_layers(layers, target, input_shape=shape, memory=False)
        assert_equal(cost_from_layers(layers, target, input_shape=shape), Builder().graph(layers, shape), target)
        assert found.flash_bytes[index] == one.flash_bytes and found.macs[index] == one.macs
        for field in ("instructions", "cycles", "ms", "low_ms", "high_ms"):
            expected = getattr(one, field)
            value = getattr(found, field)[index]
            assert np.isnan(value) if expected is None else value == expected, field


def test_a_calibrated_device_in_a_batch() -> None:
    own = Calibration(
        core="cortex-m4",
        kernels="cmsis-nn",
        clock_hz=120_000_000,
        cpi=1.7,
        instructions_per_operator=311.5,
        band=1.1,
        band_elsewhere=1.3,
        rows=9,
        models=3,
        source="here",
        runtime="tflm",
        factors={"conv_s8:1x1": 1.37, "dwconv_s8:3x3": 0.913, "softmax_s8": 1.01},
    )
    target = msgspec.structs.replace(mcuprof.device("nucleo-l4r5zi"), calibration=own)
    candidates = [random_candidate(random.Random(seed)) for seed in range(20)]
    found = cost_batch(candidates, target)
    one = [cost_from_layers(layers, target, input_shape=shape, memory=False) for layers, shape in candidates]
    assert found.cycles.tolist() == [each.cycles for each in one]
    assert found.high_ms.tolist() == [each.high_ms for each in one]


def test_no_candidates_make_no_costs() -> None:
    assert cost_batch([], mcuprof.device("nucleo-l4r5zi")).flash_bytes.tolist() == []


@pytest.mark.parametrize(
    ("layers", "shape", "reason"),
    [
        ([], (8, 8, 3), "at least one layer"),
        ([words.conv(8), words.add(-1, -3)], (8, 8, 3), "layer 1 (ADD): no input -1 or -3 here"),
        ([words.conv(8), words.add(-1, -2)], (8, 8, 3), "layer 1 (ADD): adds two inputs of one shape"),
        ([words.conv(0)], (8, 8, 3), "0 output channels"),
        ([words.conv(8, stride=0)], (8, 8, 3), "sizes must be positive"),
        ([words.conv(8, 9, padding="VALID")], (8, 8, 3), "makes 1x0x0x8 of 1x8x8x3"),
        ([words.conv(8)], (8,), "needs rows, columns and channels"),
        ([words.conv(8)], (8, -8, 3), "not an input shape"),
        ([Layer("LSTM")], (8, 8, 3), "there is no such layer"),
        (
            [words.conv(8), words.concat(-1, -2), words.conv(4, stride=2), words.concat(-1, -2)],
            (8, 8, 3),
            "layer 3 (CONCATENATION)",
        ),
    ],
)
def test_what_is_no_network_is_said(layers: list[Layer], shape: tuple[int, ...], reason: str) -> None:
    target = mcuprof.device("nucleo-l4r5zi")
    for attempt in (
        lambda: cost_from_layers(layers, target, input_shape=shape),
        lambda: cost_batch([(layers, shape)], target),
    ):
        with pytest.raises(UsageError) as error:
            attempt()
        assert reason in str(error.value)
