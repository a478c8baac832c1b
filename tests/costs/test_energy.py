"""Microjoules against published ones, and silence where nobody measured."""

from __future__ import annotations

import csv
from math import log

import pytest

from mcuprof.cost_document import Energy
from mcuprof.costs import NoData, latency
from mcuprof.costs.energy import energy
from mcuprof.document import Latency
from mcuprof.hardware import database_path, load_device
from tests.costs.truth import model

MLPERF = {  # MLPerf Tiny int8 reference models
    "ad": "87cf24194ef93d1d9b11a591d805526b98008e351655d29883c825c9c106ba24",
}


def known(device: str, ms: float, runtime: str, kernels: str, clock: int | None = None) -> tuple[Energy, ...] | NoData:
    time = Latency(None, None, ms, ms / 1.2, ms * 1.2, "", ())
    return energy(time, load_device(device, clock), runtime=runtime, kernels=kernels)


@pytest.mark.parametrize(
    ("device", "runtime", "kernels", "supply", "ms", "uj"),
    [
        # time and energy of one run as MLPerf Tiny publishes them: v1.0 OctoML kws, v1.2 ST ic and vww, v1.1 Krai ad
        ("nucleo-l4r5zi", "tflm", "cmsis-nn", "supply not stated", 100.027, 5230.0),
        ("stm32u575zi", "x-cube-ai-9", "st", "1.8 V, SMPS", 110.41, 2578.8),
        ("stm32h7a3zi", "x-cube-ai-9", "st", "3 V, SMPS", 23.76, 2965.4),
        ("stm32l4r5zi", "x-cube-ai-8", "st", "3 V", 7.58067, 528.9),
    ],
)
def test_published_energies(device: str, runtime: str, kernels: str, supply: str, ms: float, uj: float) -> None:
    found = known(device, ms, runtime, kernels)
    assert not isinstance(found, NoData)
    (one,) = [each for each in found if each.supply == supply]
    assert one.uj == pytest.approx(uj, rel=0.1)
    assert one.low_uj < uj < one.high_uj


def test_supplies_are_told_apart() -> None:
    """Krai's runs at 3 V took 1.6 times what ST's took at 1.8 V."""
    found = known("stm32l4r5zi", 100, "x-cube-ai-7", "st")
    assert not isinstance(found, NoData)
    by_supply = {one.supply: one.uj for one in found}
    assert by_supply["3 V"] / by_supply["1.8 V"] == pytest.approx(1.6, rel=0.1)


def test_bands_hold_nine_of_ten_energies_of_networks_that_neither_fit_had_seen() -> None:
    """`held_out_uj` is predicted without the network's time and power; `tools/fit.py` writes it beside what was
    measured.
    """
    with (database_path() / "measurements" / "energy.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["held_out_uj"]]
    assert len(rows) > 60
    held = [abs(log(float(row["uj"]) / float(row["held_out_uj"]))) <= log(float(row["band"])) for row in rows]
    assert sum(held) >= 0.9 * len(rows)


@pytest.mark.parametrize(
    ("device", "runtime", "kernels", "clock", "reason"),
    [
        ("stm32f446re", "tflm", "cmsis-nn", None, "no published energy of an inference on stm32f446re"),
        ("nucleo-l4r5zi", "tflm", "reference", None, "no published energy of reference kernels on stm32l4r5zi"),
        ("nucleo-l4r5zi", "tinyengine", "tinyengine", None, "no published energy of tinyengine on stm32l4r5zi"),
        ("nucleo-l4r5zi", "tflm", "cmsis-nn", 80_000_000, "was measured at 120 MHz only"),
    ],
)
def test_nothing_is_invented(device: str, runtime: str, kernels: str, clock: int | None, reason: str) -> None:
    found = known(device, 10, runtime, kernels, clock)
    assert isinstance(found, NoData)
    assert reason in found.reason


def test_without_a_time_there_is_no_energy() -> None:
    time = Latency(1000, None, None, None, None, "", ())
    found = energy(time, load_device("nucleo-l4r5zi"), runtime="tflm", kernels="cmsis-nn")
    assert isinstance(found, NoData)


def test_a_whole_model() -> None:
    """MLPerf Tiny v1.0, OctoML: 443.2 uJ for the autoencoder with microTVM, which calls the same kernels."""
    device = load_device("nucleo-l4r5zi")
    time = latency(model(MLPERF["ad"]), device, runtime="tflm", kernels="cmsis-nn")
    assert isinstance(time, Latency)
    found = energy(time, device, runtime="tflm", kernels="cmsis-nn")
    assert not isinstance(found, NoData)
    assert found[0].low_uj < 443.2 < found[0].high_uj
