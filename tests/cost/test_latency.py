"""Milliseconds against published latencies, and silence where there are none."""

from __future__ import annotations

import csv

import pytest

from mcuprof.cost import NoData, latency
from mcuprof.cost.cycles import Anchor, anchor
from mcuprof.graph import DType
from mcuprof.hardware import database_path, load_device
from tests.cost.networks import convolution, dense
from tests.cost.truth import Rows, model

MLPERF = {  # MLPerf Tiny int8 reference models
    "ad": "87cf24194ef93d1d9b11a591d805526b98008e351655d29883c825c9c106ba24",
}


def measured() -> Rows:
    with (database_path() / "measurements" / "cpu_latency.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m85"])
def test_the_band_holds_nine_of_ten_published_latencies(core: str) -> None:
    """`instructions` of the table are modelled; cycles are the published ms times the published clock."""
    found = anchor(core, "cmsis-nn")
    assert isinstance(found, Anchor)
    rows = [row for row in measured() if row["core"] == core]
    assert len(rows) >= 4
    inside = 0
    for row in rows:
        clock = int(row["clock_hz"])
        cycles = float(row["ms"]) * clock / 1000
        ratio = cycles / found.cycles(int(row["instructions"]), int(row["operators"]))
        band = found.band_for(row["board"], clock)
        inside += 1 / band <= ratio <= band
    assert inside >= 0.9 * len(rows)


@pytest.mark.parametrize(
    ("board", "published_ms"),
    [
        ("nucleo-l4r5zi", 8.605),  # MLPerf Tiny v1.0, OctoML, microTVM + CMSIS-NN at 120 MHz
        ("nrf5340", 6.266),  # the same at 128 MHz
        ("ra8d1", 0.5307),  # MLPerf Tiny v1.2, Renesas, TFLM + CMSIS-NN at 480 MHz
    ],
)
def test_anomaly_detection_on_measured_boards(board: str, published_ms: float) -> None:
    found = latency(model(MLPERF["ad"]), load_device(board), runtime="tflm", kernels="cmsis-nn")
    assert not isinstance(found, NoData)
    assert found.ms is not None
    assert found.low_ms is not None
    assert found.high_ms is not None
    assert found.low_ms < found.ms < found.high_ms
    assert found.low_ms <= published_ms <= found.high_ms


def test_arithmetic_of_cycles_and_time() -> None:
    board = load_device("nucleo-l4r5zi")
    found = latency(convolution(8, 8, 16, 8, (3, 3)), board, runtime="tflm", kernels="cmsis-nn")
    factor = anchor("cortex-m4", "cmsis-nn")
    assert not isinstance(found, NoData)
    assert isinstance(factor, Anchor)
    assert found.instructions is not None
    assert found.cycles == round(factor.cpi * (found.instructions + factor.per_operator))
    assert found.ms == pytest.approx(found.cycles / 120_000)
    assert found.operators[0].macs == 8 * 8 * 8 * 9 * 16
    assert found.operators[0].kernel == "conv_s8:kxk"
    half = latency(convolution(8, 8, 16, 8, (3, 3)), board, runtime="tflm", kernels="cmsis-nn", clock_hz=60_000_000)
    assert not isinstance(half, NoData)
    assert found.ms is not None
    assert half.ms == pytest.approx(2 * found.ms)
    assert found.high_ms is not None
    assert half.high_ms is not None
    assert half.high_ms > 2 * found.high_ms  # another clock has other wait states: a wider band


@pytest.mark.parametrize(
    ("board", "kernels"),
    [("rp2040", "cmsis-nn"), ("rp2040", "reference"), ("nucleo-l4r5zi", "reference"), ("stm32h743zi", "reference")],
)
def test_pairs_that_nobody_measured_have_instructions_but_no_time(board: str, kernels: str) -> None:
    found = latency(dense(64, 16), load_device(board), runtime="tflm", kernels=kernels)
    assert not isinstance(found, NoData)
    assert found.instructions is not None
    assert (found.cycles, found.ms, found.low_ms, found.high_ms) == (None, None, None, None)
    assert all(operator.cycles is None for operator in found.operators)
    assert "no data" in found.basis


@pytest.mark.parametrize(
    ("board", "runtime", "kernels", "culprit"),
    [
        ("esp32", "tflm", "esp-nn", "esp-nn"),
        ("esp32", "tflm", "reference", "Xtensa"),
        ("nucleo-l4r5zi", "st-edge-ai", "cmsis-nn", "st-edge-ai"),
    ],
)
def test_pairs_without_counts_have_a_reason_only(board: str, runtime: str, kernels: str, culprit: str) -> None:
    found = latency(dense(64, 16), load_device(board), runtime=runtime, kernels=kernels)
    assert isinstance(found, NoData)
    assert culprit in found.reason


def test_an_operator_without_a_law_leaves_no_total() -> None:
    board = load_device("nucleo-l4r5zi")
    found = latency(dense(64, 16, DType.FLOAT32), board, runtime="tflm", kernels="cmsis-nn")
    assert not isinstance(found, NoData)
    assert (found.instructions, found.cycles, found.ms) == (None, None, None)
    assert "FULLY_CONNECTED" in found.basis
    assert found.operators[0].instructions is None
