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
    assert {row.count("|") for row in rows} == {5, 8}


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
