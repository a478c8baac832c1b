"""Sharing rules of the kernel libraries against executed minima and address traces (overlap_distances.csv)."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprof.errors import UsageError
from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.hardware import Core
from mcuprof.memory import plan
from mcuprof.readers import read
from mcuprof.runtimes.tflm import arena
from mcuprof.runtimes.tflm.overlap import rules, walk
from tests.corpus import model, needs_shared, table
from tests.distances import graph_of

CORES = {
    "cortex-m0plus": Core("cortex-m0plus", "Cortex-M0+", "armv6-m"),
    "cortex-m3": Core("cortex-m3", "Cortex-M3", "armv7-m"),
    "cortex-m4": Core("cortex-m4", "Cortex-M4", "armv7e-m", dsp=True),
    "cortex-m55": Core("cortex-m55", "Cortex-M55", "armv8.1-m", dsp=True, mve=True),
    "rv32imc": Core("rv32imc", "ESP32-C3", "rv32imc"),
}
LIBRARIES = {
    "cmsis-nn": "cmsis-nn",
    "esp-nn ansi": "esp-nn",
    "esp-nn generic opt": "esp-nn",
    "own reference loops": "reference",
}


@pytest.mark.skipif(not table("overlap_distances.csv"), reason="the shared data folder is absent")
def test_no_declared_distance_is_below_a_measured_one_on_any_shape() -> None:
    rows = table("overlap_distances.csv")
    assert len(rows) == 7180
    by_target = {
        (library, core): rules(name, CORES[core])
        for library, name in LIBRARIES.items()
        for core in {row["core"] for row in rows if row["library"] == library}
    }
    shared = 0
    for row in rows:
        graph, op = graph_of(row)
        found = by_target[row["library"], row["core"]](graph, op, "overlap", int(row["operand"]) - 1, 0)
        measured = [row[name] for name in ("measured_min_d", "trace_min_d") if row[name]]
        assert measured, row
        if found is None:
            continue
        shared += 1
        assert found.mode == "below"
        # Beyond the output's own size the two are disjoint. A kernel found to be wrong has no number, so no rule.
        assert min(found.distance, int(row["out_bytes"])) >= max(map(int, measured)), (row, found)
    assert shared > 5500  # the rules must not hold by sharing nothing


@pytest.mark.skipif(not table("overlap_distances.csv"), reason="the shared data folder is absent")
def test_the_walk_that_executions_obey_demands_what_was_measured() -> None:
    rows = [row for row in table("overlap_distances.csv") if row["library"] == "cmsis-nn" and row["trace_min_d"]]
    for row in rows[::7]:
        graph, op = graph_of(row)
        order = walk("cmsis-nn", CORES[row["core"]])(graph, op, int(row["operand"]) - 1)
        width = graph.output(op).dtype.bits // 8
        # The output at X − d spares input byte b if all bytes written before its last read end at or below it.
        needed = int((order.written * width - np.arange(len(order.written))).max())
        assert min(needed, int(row["out_bytes"])) >= int(row["trace_min_d"]) - width + 1, row


def operator(kind: str, shape: tuple[int, ...], **changes: int) -> tuple[Graph, Op]:
    x, y = Tensor("x", shape, DType.INT8), Tensor("y", shape, DType.INT8)
    channels = shape[-1]
    weight_shape = (channels, 1, 1, channels) if kind == "CONV_2D" else (1, 3, 3, channels)
    weights = Tensor("w", weight_shape, DType.INT8, data=memoryview(b""))
    op = Op(kind, (0, 1), (2,), {"stride_h": 1, "stride_w": 1, "padding": "SAME", **changes})
    return Graph("one", (x, weights, y), (op,), (0,), (2,)), op


def test_what_nobody_has_examined_shares_nothing() -> None:
    dsp, mve = rules("cmsis-nn", CORES["cortex-m4"]), rules("cmsis-nn", CORES["cortex-m55"])
    pointwise, narrow, wide = (
        operator("CONV_2D", (1, 8, 8, 16)),
        operator("DEPTHWISE_CONV_2D", (1, 8, 8, 124)),
        operator("DEPTHWISE_CONV_2D", (1, 8, 8, 125)),
    )
    assert dsp(*pointwise, "overlap", 0, 0) is None  # every pair of channels re-reads the whole input
    assert mve(*pointwise, "overlap", 0, 0) is not None
    assert mve(*narrow, "overlap", 0, 0) is not None
    assert mve(*wide, "overlap", 0, 0) is None  # slices of 124 channels: safe distances are not an upward-closed set
    assert dsp(*wide, "overlap", 0, 0) is not None
    assert dsp(*operator("DEPTHWISE_CONV_2D", (1, 8, 8, 16), dilation_h=2), "overlap", 0, 0) is None
    assert dsp(*operator("DEPTHWISE_CONV_2D", (2, 8, 8, 16)), "overlap", 0, 0) is None
    vector = rules("esp-nn", Core("xtensa-lx7-pie", "ESP32-S3", "xtensa"))
    assert vector(*pointwise, "overlap", 0, 0) is None


def test_kernels_that_a_library_lacks_or_replaces() -> None:
    x, y = Tensor("x", (1, 8), DType.INT8), Tensor("y", (1, 8), DType.INT8)
    cmsis, reference = rules("cmsis-nn", None), rules("reference", None)
    for kind, in_both in (("RELU", True), ("RESHAPE", True), ("MINIMUM", False), ("PAD", False)):
        op = Op(kind, (0,), (1,))
        graph = Graph("one", (x, y), (op,), (0,), (1,))
        assert (cmsis(graph, op, "overlap", 0, 0) is not None) == in_both
        assert kind == "PAD" or reference(graph, op, "overlap", 0, 0) is not None
    op = Op("MINIMUM", (0,), (1,))
    graph = Graph("one", (x, y), (op,), (0,), (1,))
    assert cmsis(graph, op, "elementwise", 0, 0) is None
    assert reference(graph, op, "elementwise", 0, 0) is not None
    assert reference(graph, op, "none", 0, 0) is None
    assert reference(*operator("DEPTHWISE_CONV_2D", (1, 8, 8, 16)), "depthwise", 0, 0) is None


def test_unknown_libraries_are_refused() -> None:
    with pytest.raises(UsageError, match="no kernel library 'magic'"):
        rules("magic", None)
    with pytest.raises(UsageError, match="run on Arm cores"):
        rules("cmsis-nn", CORES["rv32imc"])


# Heads that were executed on emulated cores with outputs equal (issue D; overlap-safety notes, whole models).
HEADS = [
    ("cortex-m4", "mlperf_kws_int8", 16_000),
    ("cortex-m4", "mlperf_vww_mbv1_int8", 55_296),
    ("cortex-m4", "mlperf_ic_resnet8_int8", 33_872),
    ("cortex-m55", "mlperf_kws_int8", 13_744),
    ("cortex-m55", "mlperf_vww_mbv1_int8", 41_328),
    ("cortex-m55", "mlperf_ic_resnet8_int8", 33_872),
    ("cortex-m55", "tflm_person_detect", 41_328),
]


@needs_shared
@pytest.mark.parametrize(("core", "name", "limit"), HEADS)
def test_planned_heads_with_cmsis_nn(core: str, name: str, limit: int) -> None:
    graph = read(model(name).path)
    requests = arena(graph, library="cmsis-nn", core=CORES[core]).requests
    scratch = [[r.nbytes for r in requests if r.op == number] for number in range(len(graph.ops))]
    found = plan(graph, in_place="overlap", scratch=scratch, sharing=rules("cmsis-nn", CORES[core]))
    assert found.arena_bytes <= limit
