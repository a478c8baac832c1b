from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.hardware import list_devices, load_device
from mcuprof.report.page import columns

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")


def test_list_has_a_line_per_device(capsys: Capture) -> None:
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    assert [row.split()[0] for row in out.splitlines()[1:]] == [device.id for device in list_devices()]


def test_list_can_be_narrowed(capsys: Capture) -> None:
    assert main(["devices", "list", "--vendor", "nordic", "--core", "m33", "--min-ram", "512K"]) == 0
    ids = [row.split()[0] for row in capsys.readouterr().out.splitlines()[1:]]
    assert "nrf5340" in ids  # 512 KiB and a Cortex-M33, says its data sheet
    assert "nrf52840" not in ids and "nrf9160" not in ids


def test_show_has_every_region_and_every_source(capsys: Capture) -> None:
    assert main(["devices", "show", "stm32h747xi"]) == 0
    out = capsys.readouterr().out
    device = load_device("stm32h747xi")
    words = " ".join(out.split())
    for region in device.regions:
        assert f"{region.name} {region.kind} {region.bytes:,}" in words
    assert all(key in out for key in device.sources)
    assert "131,072  0x20000000" in out  # DTCM: 128 KiB, as in every STM32H7 linker script


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for arguments in (["list"], ["show", "stm32h747xi"], ["show", "arduino-nano33-ble"]):
        assert main(["devices", *arguments]) == 0
        assert max(map(columns, capsys.readouterr().out.splitlines())) <= width


def test_json_is_the_device(capsys: Capture) -> None:
    assert main(["devices", "show", "nrf52840", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "nrf52840"
    assert main(["devices", "-f", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(list_devices())


def test_validate(capsys: Capture, tmp_path: Path) -> None:
    assert main(["devices", "validate"]) == 0
    assert capsys.readouterr().out == "no problems\n"
    path = tmp_path / "mine.toml"
    path.write_text('name = "Mine"\nvendor = "Me"\nregionz = 1\n')
    assert main(["devices", "validate", str(path)]) == 1
    out = capsys.readouterr().out
    assert str(path) in out and "regionz" in out
    assert main(["devices", "show", str(path)]) == 2


@pytest.mark.parametrize(
    "arguments",
    [["show"], ["list", "nrf52840"], ["show", "no-such-board"], ["delete"], ["--min-ram", "1Q"]],
)
def test_usage_errors_are_one_line(capsys: Capture, arguments: list[str]) -> None:
    assert main(["devices", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mcuprof: error: ") and error.count("\n") == 1


FIRMWARE = Path(__file__).resolve().parents[1] / "hardware" / "firmware"


def test_import_writes_a_file_that_check_takes(capsys: Capture, tmp_path: Path) -> None:
    path, script = str(tmp_path / "mine.toml"), str(FIRMWARE / "firmware.ld")
    arguments = ["import", script, "--map", str(FIRMWARE / "firmware.map"), "--like", "stm32l4r5zi"]
    assert main(["devices", *arguments, "--name", "My board", "-o", path]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and ".bss.tensor_arena of 20,480 B" in captured.err
    assert main(["devices", "validate", path]) == 0
    model = Path(__file__).resolve().parents[2] / "samples" / "ds_cnn_int8.tflite"
    capsys.readouterr()
    assert main(["check", str(model), "-d", path, "-f", "json"]) == 0
    regions = json.loads(capsys.readouterr().out)["results"][0]["memory"]["regions"]
    assert regions[0]["name"] == "RAM" and regions[0]["reserved_bytes"] == 0x67E0 - 20480
    assert main(["devices", *arguments]) == 0
    assert capsys.readouterr().out.startswith('name = "firmware"\n')


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-file.ld"],
        [str(FIRMWARE / "firmware.ld"), "--map", str(FIRMWARE / "firmware.ld")],
        [str(FIRMWARE / "firmware.ld"), "--core", "m99"],
        [str(FIRMWARE / "firmware.ld"), "--like", "no-such-board"],
        [str(FIRMWARE / "firmware.ld"), "-o", "board.txt"],
    ],
)
def test_import_errors_are_one_line(capsys: Capture, arguments: list[str]) -> None:
    assert main(["devices", "import", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("mcuprof: error: ") and captured.err.count("\n") == 1
