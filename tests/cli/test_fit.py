from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.report.page import columns

Capture = pytest.CaptureFixture[str]
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
DS_CNN, MOBILENET = str(SAMPLES / "ds_cnn_int8.tflite"), str(SAMPLES / "mobilenet_v1_025_96_int8.tflite")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("width", [40, 80])
def test_text_fits_the_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["fit", DS_CNN, MOBILENET]) == 0
    out = capsys.readouterr().out
    assert max(map(columns, out.splitlines())) <= width
    assert out.count("FITS on ") == 2
    for title in ("Smallest first", "Nearest misses", "Not shown to fit"):
        assert out.count(title) == 2


def test_filters_and_json(capsys: Capture) -> None:
    assert main(["fit", DS_CNN, "--vendor", "nordic", "--core", "m4", "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {each["device"]: each for each in document["models"][0]["devices"]}
    assert {"nrf52832", "nrf52833", "nrf52840"} <= found.keys()
    assert all(each["vendor"].startswith("Nordic") for each in found.values())
    assert main(["check", DS_CNN, "-d", "nrf52840", "-f", "json"]) == 0
    result = json.loads(capsys.readouterr().out)["results"][0]
    assert found["nrf52840"]["ms"] == result["latency"]["ms"]
    region = result["memory"]["regions"][0]
    free = region["capacity_bytes"] - region["used_bytes"] - region["reserved_bytes"]
    assert found["nrf52840"]["free_ram_bytes"] == free


def test_all_lists_every_device_and_counts_agree(capsys: Capture) -> None:
    assert main(["fit", DS_CNN, "--all", "--core", "cortex-m4"]) == 0
    out = capsys.readouterr().out
    assert "more: --all" not in out
    section = out.split("Smallest first (")[1]
    listed = section.split("\n\n")[0].splitlines()[2:]
    assert len(listed) == int(section.split(")")[0])


def test_markdown(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "fit.md"
    assert main(["fit", MOBILENET, "-f", "markdown", "-o", str(path)]) == 0
    assert capsys.readouterr().out == ""
    rows = [row for row in path.read_text().splitlines() if row.startswith("|")]
    assert {row.count("|") for row in rows} == {6, 8}


def test_parts_add_what_has_no_device_file(capsys: Capture) -> None:
    assert main(["fit", DS_CNN, "--core", "m7", "-f", "json"]) == 0
    few = json.loads(capsys.readouterr().out)["models"][0]["devices"]
    assert main(["fit", DS_CNN, "--core", "m7", "--parts", "-f", "json"]) == 0
    many = json.loads(capsys.readouterr().out)["models"][0]["devices"]
    names = [each["device"] for each in many]
    assert len(many) > len(few) and len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([MOBILENET, "--vendor", "no such vendor"], 2),
        ([MOBILENET, "--core", "xtensa", "--kernels", "cmsis-nn"], 2),
        ([MOBILENET, "--kernels", "nothing"], 2),
        ([MOBILENET, "--min-ram", "x"], 2),
        ([MOBILENET, "--vendor", ""], 2),
        (["no-such-file.tflite"], 3),
        ([], 2),
    ],
)
def test_errors_are_one_line(capsys: Capture, arguments: list[str], code: int) -> None:
    assert main(["fit", *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("mcuprof: error: ") and error.count("\n") == 1


def test_a_model_that_fits_nowhere_fails(capsys: Capture) -> None:
    assert main(["fit", MOBILENET, "--core", "m0", "--vendor", "ST", "--reserve-ram", "1M"]) == 1
    assert capsys.readouterr().out.startswith("FITS NOWHERE")


def test_the_model_is_never_written_over(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(Path(DS_CNN).read_bytes())
    assert main(["fit", str(path), "--core", "m0", "-o", str(path)]) == 2
    assert "is the model itself" in capsys.readouterr().err
    assert path.read_bytes() == Path(DS_CNN).read_bytes()


def test_a_model_named_twice_is_judged_once(capsys: Capture) -> None:
    assert main(["fit", DS_CNN, DS_CNN, "--core", "m33"]) == 0
    assert capsys.readouterr().out.count("FITS on ") == 1


def test_the_core_filter_is_about_the_core_that_is_judged(capsys: Capture) -> None:
    """An STM32WL55JC has a Cortex-M0+ beside its Cortex-M4."""
    assert main(["fit", DS_CNN, "--core", "m0plus", "--all"]) == 0
    out = capsys.readouterr().out
    assert "rp2040" in out and "stm32wl55jc" not in out


def test_devices_that_are_too_slow_are_misses_too(capsys: Capture) -> None:
    """Nearest first by the share that they are over: the band's upper end against the budget."""
    assert main(["fit", DS_CNN, "--core", "m4", "--vendor", "ST", "--latency", "100ms", "--all", "-f", "json"]) == 0
    devices = json.loads(capsys.readouterr().out)["models"][0]["devices"]
    slow = [each for each in devices if each["over_ms"]]
    assert len(slow) > 5
    assert all(each["over_ms"] == pytest.approx(each["high_ms"] - 100) for each in slow)
    assert main(["fit", DS_CNN, "--core", "m4", "--vendor", "ST", "--latency", "100ms", "--all"]) == 0
    section = capsys.readouterr().out.split("Nearest misses (")[1].split("\n\n")[0].splitlines()[1:]
    assert section[0].split()[-3:] == ["too", "slow", "by"]
    listed = [row.split()[0] for row in section[1:]]
    by_name = {each["device"]: each for each in devices}
    over = [max(by_name[name]["over_ms"] / 100, _lack(by_name[name])) for name in listed]
    assert over == sorted(over) and {each["device"] for each in slow} <= set(listed)


def _lack(each: dict[str, float]) -> float:
    return max(each["lacks_ram_bytes"] / each["ram_bytes"], each["lacks_flash_bytes"] / (each["flash_bytes"] or 1))
