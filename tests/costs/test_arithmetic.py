"""Bit operations, precisions and the roofline: figures worked out by hand from shapes and types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcuprof.analysis import Options, analyze
from mcuprof.cost_document import Arithmetic
from mcuprof.costs.arithmetic import arithmetic
from mcuprof.document import Npu
from mcuprof.graph import DType, Graph
from mcuprof.hardware import load_device
from mcuprof.readers import read
from tests.corpus import model, needs_shared
from tests.costs.networks import convolution, dense, one_op, tensor

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SLOW_MEMORY = """
name = "Board with a known bus"
vendor = "Nobody"
part = "X1"
cores = ["cortex-m4"]
clock = "100MHz"
bytes_per_cycle = {rate}
regions = [{{ name = "SRAM", kind = "ram", size = "256K" }}]
[sources]
cores = "made up"
clock = "made up"
bytes_per_cycle = "made up for this test"
regions = "made up"
"""


def of(graph: Graph) -> Arithmetic:
    return arithmetic(graph, None, None, None)


def analyzed(graph: Graph, device: str) -> Arithmetic:
    found = analyze(graph, load_device(device), Options(detail=True)).arithmetic
    assert isinstance(found, Arithmetic)
    return found


def _filled(graph: Graph) -> Graph:
    """With weights that do not compress: every byte from a fixed generator."""
    noise = np.random.default_rng(1)
    tensors = [
        replace(each, data=memoryview(noise.bytes(each.nbytes))) if each.is_constant else each for each in graph.tensors
    ]
    return replace(graph, tensors=tuple(tensors))


def test_a_convolution() -> None:
    # 4 x 4 outputs of 5 channels over 3 x 3 x 2 inputs; 32 + 90 + 80 bytes
    (row,) = of(convolution(4, 4, 2, 5, (3, 3))).operators
    assert (row.macs, row.bops, row.bytes_moved) == (16 * 5 * 18, 16 * 5 * 18 * 64, 32 + 90 + 80)
    assert row.macs_per_byte == pytest.approx(1440 / 202)
    assert (row.macs_per_cycle, row.bound) == (None, None)


def test_four_bit_weights_count_half_the_bits_and_bytes() -> None:
    weights = tensor((10, 64), DType.INT4, constant=True)
    work = of(one_op("FULLY_CONNECTED", [tensor((1, 64)), weights], tensor((1, 10))))
    assert work.bops == 640 * 8 * 4
    assert work.bytes_moved == 64 + 320 + 10
    assert [(each.activations, each.weights, each.macs) for each in work.precisions] == [("int8", "int4", 640)]


def test_sixteen_bit_activations() -> None:
    weights = tensor((10, 64), constant=True)
    work = of(one_op("FULLY_CONNECTED", [tensor((1, 64), DType.INT16), weights], tensor((1, 10), DType.INT16)))
    assert (work.bops, work.bytes_moved) == (640 * 16 * 8, 128 + 640 + 20)


def test_both_products_of_an_svdf_count_with_their_own_widths() -> None:
    inputs = [tensor((1, 16)), tensor((4, 16), constant=True), tensor((4, 6), DType.INT16, constant=True)]
    inputs += [tensor((4,), DType.INT32, constant=True), tensor((1, 24), DType.INT16)]
    work = of(one_op("SVDF", inputs, tensor((1, 4)), rank=1))
    assert work.bops == 64 * 8 * 8 + 24 * 16 * 16
    assert {(each.activations, each.weights): each.macs for each in work.precisions} == {
        ("int8", "int8"): 64,
        ("int16", "int16"): 24,
    }


def test_products_of_two_activations() -> None:
    work = of(one_op("BATCH_MATMUL", [tensor((1, 3, 8)), tensor((1, 8, 5))], tensor((1, 3, 5))))
    assert (work.bops, work.bytes_moved) == (3 * 8 * 5 * 64, 24 + 40 + 15)


def test_an_operator_without_macs_has_no_position() -> None:
    (row,) = of(one_op("RELU", [tensor((1, 8))], tensor((1, 8)))).operators
    assert (row.bops, row.weight_bits, row.macs_per_byte) == (0, None, None)


def test_without_bandwidth_nothing_is_said_of_memory() -> None:
    work = analyzed(dense(64, 64), "stm32f446re")
    assert work.bandwidth_basis.startswith("no bandwidth data")
    assert [row.bound for row in work.operators] == [None]


@pytest.mark.parametrize(("rate", "bound"), [(0.01, "memory"), (100, "compute")])
def test_a_known_bandwidth_decides(tmp_path: Path, rate: float, bound: str) -> None:
    """64 x 64 MACs over about as many bytes: about one MAC a byte, against 2 MACs a cycle of a Cortex-M4 at most."""
    (tmp_path / "own.toml").write_text(SLOW_MEMORY.format(rate=rate))
    work = analyzed(dense(64, 64), str(tmp_path / "own.toml"))
    assert [row.bound for row in work.operators] == [bound]
    assert work.bandwidth_basis == "made up for this test"


@pytest.mark.parametrize("device", ["stm32f446re", "nrf5340", "esp32-c3", "esp32"])
@pytest.mark.parametrize("name", ["ds_cnn", "resnet8", "mobilenet_v1_025_96", "autoencoder"])
def test_no_operator_is_above_its_ceilings(name: str, device: str) -> None:
    work = analyzed(read(SAMPLES / f"{name}_int8.tflite"), device)
    for row in work.operators:
        if row.of_ceiling is not None:
            # MACs count padding, which kernels skip: up to a third of a row or column of a 4 x 4 map
            assert 0 < row.of_ceiling <= (1.25 if row.operator.startswith("CONV") else 1)


@needs_shared
def test_bit_operations_of_the_corpus_are_sums_of_their_precisions() -> None:
    work = of(read(model("drv_resnet8_static_wi8_ai16").path))
    assert work.bops == sum(row.bops for row in work.operators) == sum(each.bops for each in work.precisions)
    assert {(each.activations, each.weights) for each in work.precisions} == {("int16", "int8")}
    assert work.bops == 12_501_632 * 16 * 8  # MACs of the ResNet as MLPerf Tiny publishes it


def test_an_npu_says_what_limits_it() -> None:
    """Ethos-U55-256: 64 Ki weights take 256 cycles of MACs but thousands to read; a 3x3 convolution is the reverse."""

    def bound(graph: Graph) -> object:
        npu = analyze(graph, load_device("alif-e7")).npu
        assert isinstance(npu, Npu)
        return npu.operators[0].bound

    assert bound(_filled(dense(256, 256))) == "memory"
    assert bound(_filled(convolution(32, 32, 64, 64, (3, 3)))) == "compute"
