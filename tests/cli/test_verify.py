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
    assert main(["verify", str(model("mlperf_toycar_hybrid").path)]) == 1
    out = capsys.readouterr().out
    assert "operator 0, FULLY_CONNECTED: float activations with integer weights" in out
    assert "operator 9, FULLY_CONNECTED" in out
    assert "plan     not executed: 10 operators have no kernel" in out
    assert "NOT VERIFIED" in out


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


def test_nan_in_a_float_input_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    path = str(SAMPLES / "digits_qdq.onnx")
    graph = load(path)
    tensor = graph.tensors[graph.inputs[0]]
    values = np.zeros(tensor.shape, np.float32)
    values.flat[3] = np.nan
    np.save(tmp_path / "in.npy", values)
    assert main(["verify", path, "--inputs", str(tmp_path / "in.npy")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "holds NaN or infinity" in err


@needs_shared
@pytest.mark.parametrize(
    ("name", "operator", "reason"),
    [
        ("bad_no_quant_params", (1, "DEPTHWISE_CONV_2D"), "no usable scale"),
        ("bad_scale_neg", (1, "DEPTHWISE_CONV_2D"), "no usable scale"),
        ("bad_scale_nan", (1, "DEPTHWISE_CONV_2D"), "no usable scale"),
        ("bad_scale_zero", (1, "DEPTHWISE_CONV_2D"), "a scale of 0"),
        ("node_convtranspose_autopad_same", (0, "TRANSPOSE_CONV"), "weights that are computed"),
    ],
)
def test_what_cannot_be_executed_is_named_and_the_rest_reported(
    name: str, operator: tuple[int, str], reason: str, capsys: Capture
) -> None:
    assert main(["verify", str(model(name).path), "--count", "1", "-f", "json"]) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    first = document["missing"][0]
    assert (first["operator_index"], first["operator"]) == operator
    assert reason in first["reason"]
    assert not document["plan"]["executed"]
    assert err == ""


def test_what_comes_before_an_operator_without_a_kernel_is_still_compared() -> None:
    """The name of the second operator's kind is one that nobody knows; the first is compared with what it must give."""
    from dataclasses import replace

    from mcuprof.runner.verify import verify

    graph = load(DIGITS)
    ops = (graph.ops[0], replace(graph.ops[1], kind="NOVELTY"), *graph.ops[2:])
    image = np.ones((1, 8, 8, 1), np.int8)
    right = run(graph, image).tensors
    first = graph.ops[0].outputs[0]
    given = [{graph.inputs[0]: image}]
    found = verify(replace(graph, ops=ops), inputs=given, expected=[{first: right[first]}])
    assert [(index, kind) for index, kind, _ in found.missing] == [(1, "NOVELTY")]
    assert [entry.tensor for entry in found.against] == [first]


@needs_shared
def test_an_output_that_nobody_computes_is_one_line(capsys: Capture) -> None:
    assert main(["verify", str(model("bad_no_operators").path), "--count", "1"]) == 3
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "is never computed" in err


@needs_shared
def test_nested_branches_equal_onnxruntime(capsys: Capture) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    path = str(model("bad_o_deep_if_25").path)
    assert main(["verify", path, "--count", "2", "--against", "onnxruntime"]) == 0
    assert "1 tensors on 2 inputs equal with onnxruntime" in capsys.readouterr().out


def test_run_keeps_every_tensor_unless_told_otherwise() -> None:
    graph = load(DIGITS)
    image = np.zeros((1, 8, 8, 1), np.int8)
    assert set(run(graph, image).tensors) >= set(graph.producer)
    assert set(run(graph, image, keep="outputs").tensors) == set(graph.outputs)
