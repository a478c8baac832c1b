"""The accelerator beside a core: what it would take is said, and the verdict stays on the file as it is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mcuprof.analysis import analyze
from mcuprof.document import Npu
from mcuprof.graph import Graph
from mcuprof.hardware import Device, load_device
from mcuprof.readers import read

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
ARRAY = """
name = "Example array"
vendor = "Nobody"
[array]
rows = 256
columns = 256
arrays = 512
conversion_cycles = 10
clock = "100MHz"
[sources]
array = "made up for this test"
"""
DEVICE = """
name = "Board with an array"
vendor = "Nobody"
part = "X1"
cores = ["cortex-m4"]
accelerators = ["example-array.toml"]
regions = [{ name = "SRAM", kind = "ram", size = "256K" }]
[sources]
cores = "made up"
accelerators = "made up"
regions = "made up"
"""


@pytest.fixture(scope="module")
def network() -> Graph:
    return read(SAMPLES / "ds_cnn_int8.tflite")


def npu(network: Graph, device: Device) -> Npu:
    found = analyze(network, device).npu
    assert isinstance(found, Npu)
    return found


def test_every_operator_has_a_place_and_cycles_on_an_ethos_u(network: Graph) -> None:
    found = npu(network, load_device("we2-hx6538"))
    assert [each.index for each in found.operators] == list(range(len(network.ops)))
    assert {each.place for each in found.operators} == {"npu"} and found.host_ms == 0
    assert found.cycles == sum(each.cycles or 0 for each in found.operators)
    assert found.ms == pytest.approx((found.cycles or 0) / 500e6 * 1000)
    assert found.sram_bytes and found.weight_bytes and set(found.traffic) == {"sram", "off-chip flash"}
    assert "Vela-equivalent" in found.basis and "assumed" in found.basis


def test_the_verdict_is_the_one_without_an_accelerator(network: Graph) -> None:
    device = load_device("we2-hx6538")
    plain = analyze(network, msgspec.structs.replace(device, accelerator=None))
    assert isinstance(plain.npu, msgspec.UnsetType)
    beside = analyze(network, device)
    assert (beside.verdict, beside.memory, beside.flash, beside.latency) == (
        plain.verdict,
        plain.memory,
        plain.flash,
        plain.latency,
    )


@pytest.mark.parametrize(("device", "reason"), [("psoc-edge-e84", "configuration"), ("max78000", "too few")])
def test_no_data_says_why(network: Graph, device: str, reason: str) -> None:
    found = npu(network, load_device(device))
    assert found.ms is None and found.cycles is None and reason in found.basis


def test_a_measured_accelerator_has_a_band(network: Graph) -> None:
    found = npu(network, load_device("efr32mg24"))
    assert found.ms and found.low_ms and found.high_ms and found.low_ms < found.ms < found.high_ms


def test_a_user_s_own_array_is_a_file_beside_the_device(network: Graph, tmp_path: Path) -> None:
    (tmp_path / "example-array.toml").write_text(ARRAY)
    (tmp_path / "board.toml").write_text(DEVICE)
    found = npu(network, load_device(str(tmp_path / "board.toml")))
    assert found.accelerator == "example-array" and found.cycles and found.clock_hz == 100_000_000
    left = {each.operator for each in found.operators if each.place == "host"}
    assert left == {op.kind for op in network.ops} - {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
