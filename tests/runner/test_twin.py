"""The float twin run by mcuprof's own kernels, where no other runtime is installed: as the other runtimes run it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import sqrt

import pytest

from mcuprof import load
from mcuprof.cli import main
from mcuprof.runner.verify import Verification, verify
from tests.corpus import model, needs_shared

pytestmark = needs_shared

TWINS = [
    ("mlperf_ad01_int8", "mlperf_ad01_fp32", "litert"),
    ("mlperf_ic_resnet8_int8", "mlperf_ic_resnet8_fp32", "litert"),
    ("mlperf_vww_mbv1_int8", "mlperf_vww_mbv1_fp32", "litert"),
    ("mlonmcu_kws_m_int8", "mlonmcu_kws_m_fp32", "litert"),
    ("mlonmcu_kws_m_int8", "mlonmcu_kws_m_fp32_onnx", "onnxruntime"),
    ("mlonmcu_kws_m_qop_tvm_onnx", "mlonmcu_kws_m_fp32_onnx", "onnxruntime"),
]
# Two runtimes that add the same float32 products in another order differ by less than K·u of the sum of their
# magnitudes (u = 2^-24; K is at most 640 here), by some √K·u = 1.5e-6 of the sum itself in practice (Higham, "Accuracy
# and Stability of Numerical Algorithms", §3.1 and §2.8); through 30 layers that adds up to 4.5e-5. The noise of 8 bits,
# which is what is measured, is 3e-3 of a signal and more (50 dB).
TOLERANCE = 1e-4
Uninstall = Callable[[], None]


@pytest.fixture
def uninstall(monkeypatch: pytest.MonkeyPatch) -> Uninstall:
    """From the call on, no other runtime can be imported."""

    def block() -> None:
        for name in ("ai_edge_litert", "ai_edge_litert.interpreter", "onnxruntime"):
            monkeypatch.setitem(sys.modules, name, None)

    return block


def noise(quantized: str, reference: str, jobs: int = 1) -> Verification:
    return verify(load(model(quantized).path), seeds=range(3), reference=load(model(reference).path), jobs=jobs)


@pytest.mark.parametrize(("quantized", "reference", "runtime"), TWINS)
def test_without_a_runtime_the_noise_is_the_same(
    quantized: str, reference: str, runtime: str, uninstall: Uninstall
) -> None:
    package = {"litert": "ai_edge_litert", "onnxruntime": "onnxruntime"}[runtime]
    pytest.importorskip(package, reason=f"{runtime}, the judge, is not installed")
    theirs = noise(quantized, reference)
    uninstall()
    ours = noise(quantized, reference)
    assert (theirs.reference, ours.reference) == (runtime, "mcuprof")
    expected = {layer.tensor: layer for layer in theirs.layers}
    assert expected and expected.keys() == {layer.tensor for layer in ours.layers}
    for layer in ours.layers:
        judge = expected[layer.tensor]
        assert (layer.reference, layer.matched) == (judge.reference, judge.matched)
        # x moved by at most TOLERANCE·‖x‖ moves ‖x‖ and ‖x − x̂‖ by no more (triangle inequality).
        assert sqrt(layer.signal) == pytest.approx(sqrt(judge.signal), rel=TOLERANCE)
        assert abs(sqrt(layer.noise) - sqrt(judge.noise)) <= TOLERANCE * sqrt(judge.signal)


@pytest.mark.parametrize("name", ["tflm_mnist_lstm_float", "gap_lstm", "mlonmcu_lstm2"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_network_is_its_own_twin(name: str, jobs: int, uninstall: Uninstall) -> None:
    """Without noise on every input: the state of an LSTM goes from one to the next on both sides."""
    uninstall()
    found = noise(name, name, jobs)
    assert found.reference == "mcuprof" and found.layers
    assert [layer.noise for layer in found.layers] == [0.0] * len(found.layers)
    assert any(layer.signal for layer in found.layers)


def test_the_report_names_what_has_run_it(uninstall: Uninstall, capsys: pytest.CaptureFixture[str]) -> None:
    uninstall()
    paths = [str(model(f"mlperf_ad01_{kind}").path) for kind in ("int8", "fp32")]
    command = ["verify", paths[0], "--reference", paths[1], "--count", "1"]
    assert main(command) == 0
    assert "float model run by mcuprof" in " ".join(capsys.readouterr().out.split())
    assert main([*command, "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"]["runtime"] == "mcuprof"


def test_a_twin_that_nobody_can_run_is_one_line(uninstall: Uninstall, capsys: pytest.CaptureFixture[str]) -> None:
    uninstall()
    path = str(model("litert_lstm_quantized").path)
    assert main(["verify", path, "--reference", path, "--count", "1"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "litert is not installed: pip install ai-edge-litert; operator 1 (LSTM)" in err
