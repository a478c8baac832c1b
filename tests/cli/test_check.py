from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcuprof.budgets import Limits
from mcuprof.cli import main
from mcuprof.errors import ModelError
from tests.cli.conftest import Engine, fails

Capture = pytest.CaptureFixture[str]
D = ("-d", "board")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a.tflite", *D], 0),
        (["a.tflite"], 0),
        (["a.tflite", *D, "--ram", "96K"], 1),
        (["a.tflite", "--ram", "96K"], 1),
        (["a.tflite", *D, "--flash", "1K"], 1),
        (["a.tflite", *D, "--latency", "350ms"], 1),
        (["a.tflite", "--latency", "10s"], 1),  # no device, so no data
        (["a.tflite", *D, "--reserve-ram", "64K"], 1),
        (["broken.tflite", *D], 3),
        # the worst wins, wherever it stands
        (["a.tflite", "broken.tflite", *D, "--ram", "96K"], 3),
        (["broken.tflite", "a.tflite", *D, "--ram", "96K"], 3),
        (["unsupported.tflite", "a.tflite", *D, "--ram", "96K"], 2),
        # usage
        ([], 2),
        (["a.tflite", "--ram", "96Q"], 2),
        (["a.tflite", "--ram", "-1"], 2),
        (["a.tflite", "--latency", "50"], 2),
        (["a.tflite", "--in-place", "magic"], 2),
        (["a.tflite", "--bogus"], 2),
        (["a.tflite", "--fla", "1M"], 2),  # no abbreviations: they break when options are added
        (["a.tflite", "-q", "-v"], 2),
        (["a.tflite", "-d", "nowhere"], 2),
        (["a.tflite", "-d", ""], 0),  # reaches load_target, which decides
        (["a.tflite", "--clock", "80MHz"], 2),
        (["a.tflite", *D, "--clock", "0"], 2),
        (["a.tflite", "--input-shape", "x"], 2),
        (["a.tflite", "--input-shape", "x:1x0"], 2),
        (["a.tflite", "--input-shape", "x:1x-1"], 2),
        (["a.tflite", "--input-shape", "x:1", "--input-shape", "x:2"], 2),
        (["a.tflite", "-o", "no/such/folder/out"], 2),
    ],
)
def test_exit_codes(engine: Engine, capsys: Capture, arguments: list[str], code: int) -> None:
    assert main(["check", *arguments]) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    if code >= 2:
        assert error.startswith("mcuprof: error: ") and error.count("\n") == 1
    else:
        assert error == ""


def test_models_and_devices_make_a_block_each(engine: Engine, capsys: Capture) -> None:
    assert main(["check", "a.tflite", "-d", "one", "b.tflite", "-d", "two", "-d", "one"]) == 0
    out = capsys.readouterr().out
    assert out.count("FITS  ") == 4 and out.endswith("\n4 of 4 fit\n")
    assert [path for path, _ in engine.read] == ["a.tflite", "b.tflite"]
    assert engine.loaded == [("one", None), ("two", None)]


def test_one_bad_model_does_not_stop_the_others(engine: Engine, capsys: Capture) -> None:
    engine.behaviour["odd.tflite"] = fails(ModelError("a shape that cannot be"))
    assert main(["check", "broken.tflite", "odd.tflite", "a.tflite", *D]) == 3
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "mcuprof: error: broken.tflite: not a model",
        "mcuprof: error: odd.tflite: a shape that cannot be",
    ]
    assert captured.out.startswith("FITS  a.tflite on")


def test_a_later_and_lesser_error_does_not_hide_the_worst(engine: Engine) -> None:
    assert main(["check", "broken.tflite", "unsupported.tflite", "a.tflite", *D, "--ram", "96K"]) == 3


def test_an_unknown_device_ends_it_before_any_model_is_read(engine: Engine, capsys: Capture) -> None:
    assert main(["check", "a.tflite", *D, "-d", "nowhere"]) == 2
    assert engine.read == [] and capsys.readouterr().out == ""


def test_without_device_and_budget_it_says_so(engine: Engine, capsys: Capture) -> None:
    assert main(["check", "a.tflite"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("NOT JUDGED  a.tflite without a device")
    assert "FITS" not in out and out.count("not judged: no capacity known") == 2


def test_options_reach_the_analysis(engine: Engine) -> None:
    words = "--clock 80MHz --runtime tflm-aot --kernels cmsis-nn --order optimal --in-place overlap --ram 1M --flash 2M"
    more = "--latency 1.5s --reserve-ram 16K --input-shape serving_default_x:0:1x96x96x3 --input-shape y:4"
    assert main(["check", "a.tflite", *D, *words.split(), *more.split()]) == 0
    ((request, detail),) = engine.requests
    assert not detail
    assert engine.loaded == [("board", 80_000_000)]
    assert (request.runtime, request.kernels, request.order, request.in_place) == (
        "tflm-aot",
        "cmsis-nn",
        "optimal",
        "overlap",
    )
    assert request.limits == Limits(1_048_576, 2_097_152, 1500.0, 16_384)
    assert engine.read == [("a.tflite", {"serving_default_x:0": (1, 96, 96, 3), "y": (4,)})]


def test_quiet_prints_only_what_does_not_fit(engine: Engine, capsys: Capture) -> None:
    assert main(["check", "a.tflite", *D, "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["check", "a.tflite", *D, "-q", "--ram", "96K"]) == 1
    assert capsys.readouterr().out.startswith("DOES NOT FIT")


def test_quiet_leaves_documents_whole(engine: Engine, capsys: Capture) -> None:
    assert main(["check", "a.tflite", *D, "-q", "-f", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 1


def test_verbose_speaks_on_stderr_only(engine: Engine, capsys: Capture) -> None:
    assert main(["check", "a.tflite", *D]) == 0
    plain = capsys.readouterr()
    assert main(["check", "a.tflite", *D, "-v"]) == 0
    verbose = capsys.readouterr()
    assert verbose.out == plain.out
    assert verbose.err.splitlines() == ["a.tflite: reading", "a.tflite: analysing for board"]


def test_analyze_asks_for_detail_and_prints_it(engine: Engine, capsys: Capture) -> None:
    assert main(["analyze", "a.tflite", *D, "--ram", "96K"]) == 1
    out = capsys.readouterr().out
    assert engine.requests[0][1]
    assert "Live bytes" in out and "Orders and in-place strategies" in out
    assert main(["analyze", "a.tflite", "b.tflite"]) == 2


def test_a_file_name_that_is_no_text(engine: Engine, capsys: Capture) -> None:
    assert main(["check", "caf\udce9.tflite", *D, "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["model"]["path"] == "caf\\xe9.tflite"


def test_a_name_cannot_add_lines_to_an_error(engine: Engine, capsys: Capture) -> None:
    assert main(["check", "broken\nmcuprof: FITS\x1b[2J"]) == 3
    assert capsys.readouterr().err == "mcuprof: error: broken\\x0amcuprof: FITS\\x1b[2J: not a model\n"


def test_defects_are_one_line_unless_debug(engine: Engine, capsys: Capture) -> None:
    engine.behaviour["a.tflite"] = fails(ZeroDivisionError("division\nby zero"))
    assert main(["check", "a.tflite"]) == 4
    error = capsys.readouterr().err
    assert error.startswith("mcuprof: error: internal error: ZeroDivisionError: division") and error.count("\n") == 1
    assert main(["check", "a.tflite", "--debug"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_interruption_is_one_line(engine: Engine, capsys: Capture) -> None:
    engine.behaviour["a.tflite"] = fails(KeyboardInterrupt())
    assert main(["check", "a.tflite"]) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "mcuprof: error: interrupted\n")


def test_the_model_is_never_overwritten(engine: Engine, capsys: Capture, tmp_path: Path) -> None:
    model = tmp_path / "a.tflite"
    model.write_bytes(b"weights")
    assert main(["check", str(model), "-o", str(tmp_path / "." / "a.tflite")]) == 2
    assert model.read_bytes() == b"weights"


def test_output_goes_to_the_file_alone(engine: Engine, capsys: Capture, tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    assert main(["check", "a.tflite", *D, "-f", "json", "-o", str(target)]) == 0
    assert capsys.readouterr().out == ""
    first = target.read_bytes()
    assert json.loads(first)["schema_version"] == 1
    assert main(["check", "a.tflite", *D, "-f", "json", "-o", str(target)]) == 0
    assert target.read_bytes() == first
    assert list(tmp_path.iterdir()) == [target]
