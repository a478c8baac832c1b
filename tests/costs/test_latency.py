"""Milliseconds against published latencies, and silence where there are none."""

from __future__ import annotations

import csv

import pytest

from mcuprof.costs import NoData, latency
from mcuprof.costs.cycles import Anchor, anchor
from mcuprof.graph import DType
from mcuprof.hardware import database_path, load_device
from mcuprof.runtimes import foreign as foreign_runtimes
from tests.costs.networks import convolution, dense
from tests.costs.truth import Rows, model

MLPERF = {  # MLPerf Tiny int8 reference models
    "ad": "87cf24194ef93d1d9b11a591d805526b98008e351655d29883c825c9c106ba24",
}


def measured() -> Rows:
    with (database_path() / "measurements" / "cpu_latency.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_bands_hold_nine_of_ten_published_latencies_of_models_that_the_fit_had_not_seen() -> None:
    """`held_out_ms` is predicted without the model; `tools/fit.py` writes it beside the published `ms`."""
    rows = [row for row in measured() if row["held_out_ms"]]
    assert len(rows) > 300
    ratios = [(float(row["ms"]) / float(row["held_out_ms"]), float(row["band"])) for row in rows]
    assert sum(1 / band <= ratio <= band for ratio, band in ratios) >= 0.9 * len(rows)


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
    (operator,) = found.operators
    assert operator.instructions is not None
    between = found.instructions - operator.instructions  # the interpreter's own, per inference
    weights = 8 * 9 * 16
    counted = factor.shares["conv"] * operator.instructions + factor.per_weight_byte * weights + factor.per_operator
    expected = factor.boards["stm32l4r5zi"][1] * factor.cpi * (counted + factor.per_inference + between)
    assert found.cycles == pytest.approx(expected, abs=2)
    assert found.cycles is not None
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
    [("rp2040", "cmsis-nn"), ("rp2040", "reference"), ("nucleo-l4r5zi", "reference"), ("esp32-c3", "esp-nn")],
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
        ("esp32", "tflm", "reference", "Xtensa"),
        ("rp2040", "st-edge-ai", "st", "st-edge-ai"),
        ("nucleo-l4r5zi", "tinyengine", "tinyengine", "tinyengine"),
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


def every_pair() -> list[tuple[str, str, str]]:
    """Runtime, kernel set and core of everything that a user can ask for."""
    cores = sorted(path.stem for path in (database_path() / "cores").glob("*.toml"))
    foreign = [(name, foreign_runtimes.kernels_of(name)) for name in foreign_runtimes.names()]
    own = [("tflm", kernels) for kernels in ("reference", "cmsis-nn", "esp-nn")]
    return [(runtime, kernels, core) for runtime, kernels in (*own, *foreign) for core in cores]


def test_nothing_is_invented() -> None:
    """A pair has cycles only where the table of measurements has two networks on that very core; else a reason."""
    networks: dict[tuple[str, str, str], set[str]] = {}
    for row in measured():
        networks.setdefault((row["runtime"], row["kernels"], row["core"]), set()).add(row["model"])
    pairs = every_pair()
    silent = 0
    for runtime, kernels, core in pairs:
        found = anchor(core, kernels, runtime)
        names = ("tflm",) if runtime == "microtvm" else foreign_runtimes.versions(runtime)
        known = any(len(networks.get((name, kernels, core), ())) > 1 for name in names)
        assert isinstance(found, Anchor) == known, (runtime, kernels, core)
        if isinstance(found, str):
            silent += 1
            assert "published" in found
            assert core in found or kernels in found or "Cortex" in found
    assert silent > 0.9 * len(pairs)


def test_a_runtime_without_a_version_is_the_newest_one_measured_on_the_core() -> None:
    m7, m4 = anchor("cortex-m7", "st", "st-edge-ai"), anchor("cortex-m4", "st", "st-edge-ai")
    assert isinstance(m7, Anchor)
    assert isinstance(m4, Anchor)
    assert (m7.runtime, m4.runtime) == ("st-edge-ai-3", "x-cube-ai-10")


def test_kernels_that_stand_in_give_time_but_no_instructions() -> None:
    found = latency(model(MLPERF["ad"]), load_device("nucleo-l4r5zi"), runtime="x-cube-ai-9", kernels="st")
    assert not isinstance(found, NoData)
    assert found.instructions is None
    assert all(operator.instructions is None for operator in found.operators)
    assert found.low_ms is not None
    assert found.high_ms is not None
    assert found.low_ms <= 5.261 <= found.high_ms  # MLPerf Tiny v1.2, STMicroelectronics


def test_weights_outside_the_chip_have_no_time() -> None:
    board = load_device("teensy41")  # external flash only
    found = latency(dense(64, 16), board, runtime="tflm", kernels="cmsis-nn")
    assert not isinstance(found, NoData)
    assert found.ms is None
    assert "external flash" in found.basis
