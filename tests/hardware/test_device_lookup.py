"""Names that people type, and the devices they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcuprof.errors import DeviceError
from mcuprof.hardware import database, device_db_version, list_devices, load_device


@pytest.mark.parametrize(
    ("name", "part", "core"),
    [
        ("nucleo-l4r5zi", "STM32L4R5ZI", "cortex-m4"),
        ("NUCLEO_L4R5ZI", "STM32L4R5ZI", "cortex-m4"),
        ("Nucleo H743ZI2", "STM32H743ZI", "cortex-m7"),
        ("STM32F746G-DISCO", "STM32F746NG", "cortex-m7"),
        ("b-u585i-iot02a", "STM32U585AI", "cortex-m33"),
        ("Arduino Nano 33 BLE Sense", "nRF52840", "cortex-m4"),
        ("micro:bit v2", "nRF52833", "cortex-m4"),
        ("Raspberry Pi Pico", "RP2040", "cortex-m0plus"),
        ("pico", "RP2040", "cortex-m0plus"),
        ("pico2", "RP2350", "cortex-m33"),
        ("esp32s3", "ESP32-S3", "xtensa-lx7-pie"),
        ("XIAO ESP32C3", "ESP32-C3", "rv32imc"),
        ("Teensy 4.1", "MIMXRT1062", "cortex-m7"),
        ("Arduino Portenta H7", "STM32H747XI", "cortex-m7"),
        ("bluepill", "STM32F103C8", "cortex-m3"),
        ("EK-RA8D1", "R7FA8D1AH", "cortex-m85"),
        ("sparkfun edge", "Apollo3 Blue", "cortex-m4"),
        ("Seeed Grove Vision AI V2", "WiseEye2 HX6538", "cortex-m55"),
        ("corstone-300", "Corstone-300 (SSE-300, AN547)", "cortex-m55"),
    ],
)
def test_boards_and_aliases(name: str, part: str, core: str) -> None:
    device = load_device(name)
    assert (device.part, device.core.id) == (part, core)


def test_an_order_code_leads_to_the_hand_written_file() -> None:
    assert load_device("STM32H743ZIT6") == load_device("stm32h743zi")


def test_a_part_without_a_file_comes_from_the_part_map() -> None:
    # probe-rs STM32H7_Series.yaml: the STM32H743ZG has the memories of the ZI and half its flash.
    part, file = load_device("stm32h743zgt6"), load_device("stm32h743zi")
    assert (part.part, part.clock_hz, part.flash_bytes) == ("STM32H743ZG", None, 1024 * 1024)
    assert part.arena_blocks() == file.arena_blocks()
    assert part.core.id == "cortex-m7"
    assert part.kernels == "cmsis-nn"
    assert "clock" in part.doubts
    assert part.sources["regions"] == "probe-rs/probe-rs:probe-rs/targets/STM32H7_Series.yaml"


def test_another_core_of_a_device_has_no_clock_and_no_foreign_tcm() -> None:
    device = load_device("portenta-h7:cortex-m4")
    assert (device.core.id, device.core.fpu, device.clock_hz) == ("cortex-m4", None, None)
    assert "DTCM" not in {block.name for block in device.arena_blocks()}
    with pytest.raises(DeviceError, match=r"stm32h743zi has no core 'm33'; it has cortex-m7"):
        load_device("stm32h743zi:m33")


def test_an_option_of_the_core_is_in_doubt_until_the_device_settles_it() -> None:
    settled, open_ = load_device("rp2350"), load_device("lpc55s28")
    assert settled.core.dsp
    assert "dsp" not in {**settled.core.doubts, **settled.doubts}
    assert not open_.core.dsp
    assert "dsp" in open_.core.doubts
    assert "dsp" in open_.doubts


def test_a_clock_given_replaces_the_fastest() -> None:
    assert load_device("nucleo-l4r5zi").clock_hz == 120_000_000
    assert load_device("nucleo-l4r5zi", 80_000_000).clock_hz == 80_000_000


def test_kernels_are_those_the_vendor_ships() -> None:
    kernels = {name: load_device(name).kernels for name in ("stm32f103c8", "rp2040", "esp32-s3", "esp32-c3", "k210")}
    assert kernels == {
        "stm32f103c8": "cmsis-nn",
        "rp2040": "cmsis-nn",
        "esp32-s3": "esp-nn",
        "esp32-c3": "esp-nn",
        "k210": "reference",
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nucleo-l4r5zz", "NUCLEO-L4R5ZI"),
        ("stm32h743", "stm32h743zi"),
        ("esp32-s33", "esp32-s3"),
        ("teensy", "teensy41"),
        ("ATSAMD51J99", "ATSAMD51J19A"),
    ],
)
def test_a_wrong_name_tells_the_nearest_ones_on_one_line(name: str, hint: str) -> None:
    with pytest.raises(DeviceError) as caught:
        load_device(name)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", ":", "..", "../README", "a/b.toml", "\0", "device:core:x", "é"])
def test_nonsense_is_refused(name: str) -> None:
    with pytest.raises(DeviceError):
        load_device(name)


def test_loading_by_id_reads_the_device_and_its_core_only(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read_text = Path.read_text

    def spy(path: Path, *args: str, **kwargs: str) -> str:
        opened.append(f"{path.parent.name}/{path.name}")
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", spy)
    monkeypatch.setattr(database, "read_index", None)
    load_device("stm32l4r5zi")
    assert opened == ["devices/stm32l4r5zi.toml", "cores/cortex-m4.toml"]


def test_filters() -> None:
    assert {device.vendor for device in list_devices(vendor="nordic")} == {"Nordic"}
    assert all("cortex-m7" in device.cores for device in list_devices(core="cortex-m7"))
    assert "arduino-nano33-ble" not in {device.id for device in list_devices(min_ram_bytes=256 * 1024 + 1)}
    assert "arduino-nano33-ble" in {device.id for device in list_devices(min_ram_bytes=256 * 1024)}
    assert {device.id for device in list_devices(accelerator="max7800")} == {"max78000", "max78002"}
    assert list_devices(vendor="nobody") == []


def test_the_version_is_twelve_hex_digits() -> None:
    assert len(device_db_version()) == 12
    assert int(device_db_version(), 16) >= 0
