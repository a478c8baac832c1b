"""`fit` against `check`, device by device: what is done once per core must not change a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

import mcuprof
from mcuprof.analysis import Options
from mcuprof.budgets import Limits, check, fit
from mcuprof.document import Result
from mcuprof.errors import UsageError
from mcuprof.hardware import Device, list_devices, list_parts, load_device
from tests.graphs import graph, op, tensor

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
MODELS = ("mobilenet_v1_025_96_int8.tflite", "lstm_int8.tflite")


def missing(result: Result) -> tuple[int, int]:
    """Bytes of RAM and flash that the document of `check` says are too few."""
    regions, flash = result.memory.regions, result.flash
    ram = sum(max(0, each.used_bytes + each.reserved_bytes - each.capacity_bytes) for each in regions)
    return ram, max(0, flash.total_bytes - (flash.capacity_bytes or flash.total_bytes))


@pytest.mark.parametrize("name", MODELS)
def test_every_device_gets_the_verdict_of_check(name: str) -> None:
    network, devices = mcuprof.load(SAMPLES / name), list_devices()
    found = {each.device: each for each in fit(network, devices).devices}
    assert len(found) == len(devices) >= 178
    for device in devices:
        mine, result = found[device.id], check(network, device)
        assert (mine.status == "fits") is result.verdict.fits, device.id
        errors = tuple(finding for finding in result.verdict.findings if finding.severity == "error")
        assert mine.findings == errors, device.id
        assert (mine.lacks_ram_bytes, mine.lacks_flash_bytes) == missing(result), device.id
        assert (mine.ms, mine.low_ms, mine.high_ms) == (
            (result.latency.ms, result.latency.low_ms, result.latency.high_ms) if result.latency else (None,) * 3
        )
    assert {each.status for each in found.values()} == {"fits", "over", "unproven"}


def test_parts_get_the_verdict_of_check() -> None:
    network, parts = mcuprof.load(SAMPLES / MODELS[0]), list_parts()
    assert len(parts) > 4000
    found = fit(network, parts).devices
    for mine in found[::97]:
        assert (mine.status == "fits") is check(network, load_device(mine.name)).verdict.fits, mine.name


def test_smallest_first() -> None:
    devices = fit(mcuprof.load(SAMPLES / MODELS[0]), list_devices()).devices
    sizes = [(each.ram_bytes, each.flash_bytes or float("inf")) for each in devices if each.ram_bytes is not None]
    assert sizes == sorted(sizes)
    assert all(each.ram_bytes is None for each in devices[len(sizes) :])


@pytest.mark.parametrize("more", [0, -1])
def test_headroom_and_shortage_are_to_the_byte(more: int) -> None:
    """A board whose only RAM is what `check` says is used, and one with a byte less."""
    network, board = mcuprof.load(SAMPLES / MODELS[0]), load_device("stm32f411re")
    used = check(network, board).memory.regions[0].used_bytes
    (found,) = fit(network, [resized(board, used + more)]).devices
    assert found.status == ("over" if more else "fits")
    assert (found.free_ram_bytes, found.lacks_ram_bytes) == (0, -more)


def resized(device: Device, ram: int) -> Device:
    import msgspec

    regions = (msgspec.structs.replace(device.regions[0], name="RAM", kind="ram", bytes=ram, address=0x20000000),)
    flash = tuple(region for region in device.regions if region.kind == "flash")
    return msgspec.structs.replace(device, regions=regions + flash)


def test_budgets_count() -> None:
    network, boards = mcuprof.load(SAMPLES / MODELS[0]), [load_device("stm32f411re")]
    (slow,) = fit(network, boards, None, Limits(latency_ms=1.0)).devices
    assert slow.status == "over" and [finding.code for finding in slow.findings] == ["L301"]
    (small,) = fit(network, boards, None, Limits(reserve_ram_bytes=64 * 1024)).devices
    assert small.status == "over" and small.lacks_ram_bytes > 0
    (unknown,) = fit(network, [load_device("rp2040")], None, Limits(latency_ms=1.0)).devices
    assert unknown.status == "unproven"


def test_kernels_of_another_architecture_rule_a_device_out() -> None:
    network = mcuprof.load(SAMPLES / MODELS[0])
    boards = [load_device("esp32"), load_device("stm32f411re")]
    by_id = {each.device: each for each in fit(network, boards, Options(kernels="cmsis-nn")).devices}
    assert by_id["stm32f411re"].status == "fits"
    assert by_id["esp32"].status == "over" and "cmsis-nn" in by_id["esp32"].findings[0].message
    with pytest.raises(UsageError, match="cmsis-nn"):
        fit(network, boards[:1], Options(kernels="cmsis-nn"))
    with pytest.raises(UsageError, match="no device"):
        fit(network, [])


def test_an_operator_that_tflm_lacks_fits_nowhere() -> None:
    network = graph([tensor("x", (1, 8)), tensor("y", (1, 8))], [op("CUSTOM:mine", [0], [1])], [0], [1])
    devices = fit(network, list_devices()).devices
    assert all(each.status != "fits" for each in devices)
