"""Every intermediate tensor of real models against tflite-micro, which is the runtime whose numerics we claim."""

from __future__ import annotations

import pytest

from mcuprof.readers import read
from mcuprof.runner.verify import Verification, verify
from tests.corpus import model, models, needs_shared

pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
pytestmark = needs_shared

# One of each kind of arithmetic: convolutions, dense, residual, SVDF, LSTM, int16, resource variables, float islands, a
# signal front end.
QUICK = (
    *("mlperf_ad01_int8", "mlperf_kws_int8", "mlperf_ic_resnet8_int8", "mlperf_vww_mbv1_int8", "mlperf_streaming_ww"),
    *("tflm_person_detect", "tflm_hello_world_int8", "tflm_keyword_scrambled", "tflm_keyword_scrambled_8bit"),
    *("tflm_dtln_noise_suppression", "tflm_mnist_lstm_float", "ambiq_nnid", "drv_resnet8_static_wi8_ai16"),
    *("esphome_v2_vad", "mltk_fingerprint", "synth_op_hard_swish", "synth_op_l2_norm", "litert_rsqrt_a8w8"),
    *("tflm_audio_preprocessor_float", "bad_o_tflite_named_onnx"),  # micro_speech under another suffix
    *("t2o_resize_bilinear", "t2o_resize_nn", "tinyengine_lenet300", "drv_resnet8_weight_only_wi8_afp32"),
)


def judged(name: str, seeds: int) -> Verification:
    return verify(read(model(name).path), seeds=range(seeds), against="tflm")


@pytest.mark.parametrize("name", QUICK)
def test_every_tensor_is_equal(name: str) -> None:
    found = judged(name, 2)
    assert found.missing == ()
    assert len(found.against) > 0
    assert [(entry.operator, entry.kind, entry.histogram) for entry in found.against if entry.histogram] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        entry.name
        for entry in models()
        if entry.row["runs_tflm"] == "yes" and entry.row["format"] == "tflite" and entry.row["kind"] != "adversarial"
    ],
)
def test_all_models_that_tflm_runs(name: str) -> None:
    found = judged(name, 20)
    assert found.missing == ()
    assert [(entry.operator, entry.kind, entry.histogram) for entry in found.against if entry.histogram] == []
