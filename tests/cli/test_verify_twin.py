"""`mcuprof verify --reference` and `--jobs`: noise per layer against the float twin; equal for any number of jobs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcuprof.cli import main
from tests.corpus import model, needs_shared

Capture = pytest.CaptureFixture[str]
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
DIGITS = str(SAMPLES / "digits_int8.tflite")


def layers(capsys: Capture, quantized: str, reference: str, *options: str) -> list[dict[str, Any]]:
    command = ["verify", quantized, "--reference", reference, "--count", "2", "-f", "json", *options]
    assert main(command) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["reference"]["layers"]
    return found


def tensors(path: str, given: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of the model as LiteRT's reference kernels compute it, as real numbers."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        path, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    scale, zero = entry["quantization"]
    real = given if not scale else np.rint(given / scale) + zero
    interpreter.set_tensor(entry["index"], real.astype(entry["dtype"]))
    interpreter.invoke()
    found = {}
    for entry in interpreter.get_tensor_details():
        scale, zero = entry["quantization"]
        try:
            value = interpreter.get_tensor(entry["index"]).astype(np.float64)
        except ValueError:
            continue
        found[entry["name"]] = (value - zero) * scale if scale else value
    return found


@needs_shared
def test_sqnr_is_what_litert_gives_for_both_models(tmp_path: Path, capsys: Capture) -> None:
    """Its kernels add and round as TFLM's in all but the fully-connected layer of this model (tflm.md §1)."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    quantized, reference = (str(model(f"mlperf_ic_resnet8_{kind}").path) for kind in ("int8", "fp32"))
    pixels = np.random.default_rng(1).integers(-128, 128, (1, 32, 32, 3)).astype(np.int8)
    np.save(tmp_path / "in.npy", pixels)
    found = layers(capsys, quantized, reference, "--inputs", str(tmp_path / "in.npy"))
    from mcuprof import load

    graph = load(quantized)
    quantization = graph.tensors[graph.inputs[0]].quantization
    assert quantization is not None
    real = (pixels.astype(np.float64) - quantization.zero_point[0]) * quantization.scale[0]
    left, right = tensors(quantized, real), tensors(reference, real)
    compared = 0
    for layer in found:
        if layer["operator"] in ("CONV_2D", "ADD"):
            x, error = right[layer["tensor"]], right[layer["tensor"]] - left[layer["tensor"]]
            assert layer["sqnr_db"] == pytest.approx(10 * np.log10(np.sum(x**2) / np.sum(error**2)), abs=1e-3)
            compared += 1
    assert compared == 12
    ratios = [layer["sqnr_db"] for layer in found if layer["sqnr_db"] is not None]
    assert ratios == sorted(ratios)


@needs_shared
@pytest.mark.parametrize(
    ("quantized", "reference", "least", "kinds"),
    [
        ("mlperf_ad01_int8", "mlperf_ad01_fp32", 10, {"name"}),
        ("mlperf_vww_mbv1_int8", "mlperf_vww_mbv1_fp32", 30, {"name"}),
        ("mlonmcu_kws_m_int8", "mlonmcu_kws_m_fp32_onnx", 6, {"name", "order"}),
        ("mlonmcu_kws_m_qop_tvm_onnx", "mlonmcu_kws_m_fp32_onnx", 6, {"name", "order"}),
    ],
)
def test_layers_of_real_twins_are_matched(
    quantized: str, reference: str, least: int, kinds: set[str], capsys: Capture
) -> None:
    """Wrongly paired tensors would have noise above their signal; the ratio of a wrong pair is around 0 dB or below."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    found = layers(capsys, str(model(quantized).path), str(model(reference).path))
    assert len(found) >= least
    assert {layer["matched_by"] for layer in found} <= kinds
    assert all(layer["sqnr_db"] is None or layer["sqnr_db"] > 5 for layer in found)


@needs_shared
def test_without_names_the_order_of_layers_matches(capsys: Capture) -> None:
    """The same graph with other names: the same ratios for the layers that multiply."""
    from dataclasses import replace

    from mcuprof import load
    from mcuprof.graph import Graph
    from mcuprof.runner.verify import verify

    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

    def renamed(graph: Graph) -> Graph:
        return replace(graph, tensors=tuple(replace(tensor, name=f"t{n}") for n, tensor in enumerate(graph.tensors)))

    quantized = load(model("mlperf_vww_mbv1_int8").path)
    reference = load(model("mlperf_vww_mbv1_fp32").path)
    named = {layer.operator: layer.sqnr_db for layer in verify(quantized, seeds=(0,), reference=reference).layers}
    found = verify(quantized, seeds=(0,), reference=renamed(reference)).layers
    assert {layer.matched for layer in found} == {"order"}
    assert len(found) == 28  # 27 convolutions and the classifier
    assert {layer.operator: layer.sqnr_db for layer in found}.items() <= named.items()


@needs_shared
def test_no_twin_is_one_line(capsys: Capture) -> None:
    assert main(["verify", DIGITS, "--reference", str(model("mlperf_ad01_fp32").path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize("name", ["digits_int8.tflite", "lstm_int8.tflite", "digits_qdq.onnx"])
def test_any_number_of_processes_gives_the_same_bytes(name: str, capsys: Capture) -> None:
    printed = set()
    for jobs in ("1", "2", "5"):
        assert main(["verify", str(SAMPLES / name), "--count", "7", "--jobs", jobs, "-f", "json"]) == 0
        printed.add(capsys.readouterr().out)
    assert len(printed) == 1


def test_processes_find_the_same_break_of_a_plan(tmp_path: Path, capsys: Capture) -> None:
    plan = tmp_path / "plan.json"
    assert main(["plan", DIGITS, "-o", str(plan), "--emit", "json"]) == 0
    document = json.loads(plan.read_text())
    for row in document["tensors"]:
        row["offset"] = 0
    plan.write_text(json.dumps(document))
    capsys.readouterr()
    printed = set()
    for jobs in ("1", "3"):
        assert main(["verify", DIGITS, "--plan", str(plan), "--jobs", jobs, "-f", "json"]) == 1
        printed.add(capsys.readouterr().out)
    assert len(printed) == 1
    assert json.loads(printed.pop())["plan"]["error"]
