"""The accelerator beside a core: what it would take is said, and the verdict stays on the file as it is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mcuprof.analysis import analyze
from mcuprof.document import Npu
from mcuprof.errors import DeviceError
from mcuprof.graph import Graph
from mcuprof.hardware import Device, load_device
from mcuprof.hardware.validation import validate
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


ETHOS = """
name = "Board with an Ethos-U"
vendor = "Nobody"
part = "X2"
cores = ["cortex-m55"]
accelerators = ["ethos-u55-256"]
npu = {npu}
regions = [{{ name = "SRAM", kind = "ram", size = "1M" }}]
[sources]
cores = "made up"
accelerators = "made up"
npu = "made up"
regions = "made up"
[doubts]
npu = "which mode is used nobody knows"
"""


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


def own(tmp_path: Path, npu_table: str) -> Device:
    (tmp_path / "own.toml").write_text(ETHOS.format(npu=npu_table))
    return load_device(str(tmp_path / "own.toml"))


def test_a_device_says_how_it_has_its_npu(network: Graph, tmp_path: Path) -> None:
    """Vela's Deep_Embedded system runs at 200 MHz (vela.ini), so nothing but the mode is assumed."""
    found = npu(network, own(tmp_path, '{ system = "Ethos_U55_Deep_Embedded" }'))
    assert (found.clock_hz, found.clock_assumed) == (200_000_000, False)
    assert "(memory mode assumed)" in found.basis
    assert found.doubts == ("npu: which mode is used nobody knows",)


def test_the_npus_own_clock_scales_time_and_nothing_else(network: Graph, tmp_path: Path) -> None:
    usual = npu(network, own(tmp_path, "{}"))
    slow = npu(network, own(tmp_path, '{ clock = "100MHz" }'))
    assert (usual.clock_hz, usual.clock_assumed) == (500_000_000, True)
    assert (slow.cycles, slow.sram_bytes, slow.clock_assumed) == (usual.cycles, usual.sram_bytes, False)
    assert slow.ms is not None and usual.ms is not None and slow.ms == pytest.approx(5 * usual.ms)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('{ system = "nowhere" }', "npu.system: there is no 'nowhere'"),
        ('{ mode = "Fast" }', "npu.mode: there is no 'Fast'"),
        ('{ clock = "fast" }', "npu.clock"),
        ('{ speed = "1MHz" }', "speed"),
    ],
)
def test_settings_that_do_not_exist(network: Graph, tmp_path: Path, table: str, reason: str) -> None:
    with pytest.raises(DeviceError, match=reason):
        analyze(network, own(tmp_path, table))
    assert any(reason.split(":")[0] in str(problem) for problem in validate(tmp_path / "own.toml"))
