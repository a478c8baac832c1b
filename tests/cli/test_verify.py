"""`mcuprof verify` against the runtimes that are installed, and against files that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcuprof import load
from mcuprof.cli import main
from mcuprof.runner import run
from tests.corpus import model, needs_shared

Capture = pytest.CaptureFixture[str]
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
DIGITS = str(SAMPLES / "digits_int8.tflite")


def save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


def verdict(capsys: Capture) -> str:
    return capsys.readouterr().out.split("  ")[0]


@pytest.mark.parametrize("name", ["digits", "resnet8", "inception", "lstm"])
def test_samples_equal_tflm_inside_an_overlapping_plan(name: str, capsys: Capture) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    path = str(SAMPLES / f"{name}_int8.tflite")
    code = main(["verify", path, "--order", "optimal", "--in-place", "overlap", "--against", "tflm", "--count", "2"])
    assert (code, verdict(capsys)) == (0, "VERIFIED")


@needs_shared
def test_the_first_difference_and_its_rule_are_named(capsys: Capture) -> None:
    """LiteRT rounds fully-connected sums once, TFLM twice: measured on this model (tflm.md §1)."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    path = str(model("mlperf_ad01_int8").path)
    assert main(["verify", path, "--against", "litert", "-f", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["passed"]
    assert "rounds the scaled sum once" in document["explanation"]
    assert {row["operator"] for row in document["against"]["tensors"]} == {"FULLY_CONNECTED"}
    capsys.readouterr()
    assert main(["verify", path, "--against", "litert", "--max-lsb", "8"]) == 0


def test_expected_outputs_hold_and_fail(tmp_path: Path, capsys: Capture) -> None:
    graph = load(DIGITS)
    image = np.random.default_rng(3).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)
    (given,) = (graph.tensors[index].name for index in graph.inputs)
    answers = dict(run(graph, {given: image}).outputs)
    save(tmp_path / "in.npz", {given: image})
    save(tmp_path / "out.npz", answers)
    command = ["verify", DIGITS, "--inputs", str(tmp_path / "in.npz"), "--expected"]
    assert main([*command, str(tmp_path / "out.npz")]) == 0
    save(tmp_path / "wrong.npz", {name: np.bitwise_xor(array, np.int8(1)) for name, array in answers.items()})
    capsys.readouterr()
    assert main([*command, str(tmp_path / "wrong.npz")]) == 1
    assert verdict(capsys) == "NOT VERIFIED"


@needs_shared
def test_operators_without_a_kernel_are_named_with_their_index(capsys: Capture) -> None:
    assert main(["verify", str(model("tflm_audio_preprocessor_float").path)]) == 1
    out = capsys.readouterr().out
    assert "operator 0, CUSTOM:SignalWindow" in out
    assert "VERIFIED" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.zeros((1, 8, 8, 1), np.int8)}, "input"),
        ({"input": np.zeros((1, 8, 8, 2), np.int8)}, "must be 1x8x8x1"),
        ({"input": np.zeros((1, 8, 8, 1), np.float32)}, "must be int8"),
    ],
)
def test_wrong_inputs_are_one_line(
    content: dict[str, np.ndarray], message: str, tmp_path: Path, capsys: Capture
) -> None:
    graph = load(DIGITS)
    name = graph.tensors[graph.inputs[0]].name
    save(tmp_path / "in.npz", {name if key == "input" else key: array for key, array in content.items()})
    assert main(["verify", DIGITS, "--inputs", str(tmp_path / "in.npz")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err


def test_sets_that_do_not_match(tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "out.npy", np.zeros((1, 10), np.int8))
    assert main(["verify", DIGITS, "--expected", str(tmp_path / "out.npy")]) == 2
    assert "1 sets of outputs for 0 sets" in capsys.readouterr().err
