"""Every intermediate tensor of quantized ONNX models against ONNX Runtime in the configuration that is exact."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprof.readers import read
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.verify import verify
from tests.corpus import model, needs_shared

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytestmark = needs_shared

MODELS = (
    *("spacemit_ad_onnx", "spacemit_vww_onnx", "drv_resnet8_qdq_a8w4", "drv_resnet8_qdq_s8_sym", "drv_vww_qdq_s8_pc"),
    *("drv_resnet8_qop_u8s8", "drv_resnet8_qop_s8s8_pc", "drv_vww_qop_u8s8", "drv_kwsm_qdq_u8s8", "drv_kwsm_qdq_a8w4"),
    *("drv_kwsm_qop_s8s8_pc", "drv_mbv2_qdq_s8_pc", "drv_mbv2_qop_u8s8", "drv_vww_qop_u8s8", "drv_ssd_qdq_s8_pc"),
    *("spacemit_kws_onnx", "mlonmcu_kws_m_qop_tvm_onnx", "mlonmcu_kws_m_dequant_onnx", "drv_resnet8_qdq_a16w8"),
    *("drv_unet64_qdq_a16w8", "drv_kwsm_dynamic", "node_dynamicquantizelinear"),
)
RECURRENT = ("drv_dtln1_dynamic", "dtln_1_onnx", "gap_mnist_gru_onnx", "synth_gru_fp32", "node_gru_defaults")
NODES = (
    *("node_qlinearconv", "node_qlinearmatmul_2D_int8_float32", "node_qlinearmatmul_3D_uint8_float32"),
    *("node_quantizelinear_axis", "node_quantizelinear_blocked_asymmetric", "node_dequantizelinear_axis"),
    "node_dequantizelinear_int16",
)


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_equal(name: str) -> None:
    found = verify(read(model(name).path), seeds=(0,), against="onnxruntime")
    assert found.missing == ()
    assert len(found.against) > 0
    assert [(entry.operator, entry.kind, entry.histogram) for entry in found.against if entry.histogram] == []


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_models_are_equal(name: str) -> None:
    found = verify(read(model(name).path), seeds=(0, 1, 2), against="onnxruntime")
    assert found.missing == () and len(found.against) > 0
    assert [(entry.operator, entry.kind, entry.histogram) for entry in found.against if entry.histogram] == []


@pytest.mark.parametrize("name", NODES)
def test_computed_scales(name: str) -> None:
    graph = read(model(name).path)
    sets = [random_inputs(graph, seed) for seed in range(5)]
    for arrays in sets:
        for index in arrays:
            if graph.tensors[index].name.endswith("scale"):
                arrays[index] = np.asarray(np.abs(arrays[index]) + np.float32(0.01), np.float32)
    found = verify(graph, inputs=sets, against="onnxruntime")
    assert found.missing == ()
    assert [(entry.kind, entry.elements > 0, entry.histogram) for entry in found.against if not entry.is_float] == [
        (entry.kind, True, {}) for entry in found.against if not entry.is_float
    ]
    assert found.passed
