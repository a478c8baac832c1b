"""TFLM's arena against what TFLM itself reported: executed on emulated Cortex-M cores and by its Python package."""

from __future__ import annotations

import struct
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from mcuprof.errors import ModelError, UsageError
from mcuprof.graph import DType, Graph
from mcuprof.hardware import Core, load_core
from mcuprof.readers import read
from mcuprof.runtimes.tflm import arena
from mcuprof.runtimes.tflm.abi import ARM, HOST64
from mcuprof.runtimes.tflm.kernels import rules as kernel_rules
from tests.corpus import Model, model, models, needs_shared, table
from tests.graphs import graph, op, tensor

LIBRARIES = {"ref": "reference", "cmsis": "cmsis-nn"}

# Files that TFLM runs although they are broken; mcuprof refuses to read them.
REFUSED_BY_US = {
    "bad_buffer_short": "holds 10 bytes where its shape needs 16,000",  # TFLM reads past the buffer
    "bad_output_oob": "refers to tensor 4242 of 10",  # TFLM's Python wrapper never looks at it
}


@cache
def by_sha() -> dict[str, Model]:
    return {entry.row["sha256"]: entry for entry in models()}


@cache
def load(path: str) -> Graph:
    return read(path)


def core_of(name: str) -> Core:
    return load_core({"m0plus": "cortex-m0plus"}.get(name, f"cortex-{name}"))


@needs_shared
def test_arena_equals_every_executed_row() -> None:
    rows = table("tflm_arena_cortexm.csv")
    wrong = []
    for row in rows:
        found = arena(
            load(str(by_sha()[row["sha256"]].path)), library=LIBRARIES[row["kernels"]], core=core_of(row["core"])
        )
        expected = (int(row["head"]), int(row["tail"]), int(row["arena_used_bytes"]))
        if (found.head_bytes, found.tail.nbytes, found.arena_bytes) != expected:
            wrong.append((row["model"], row["core"], row["kernels"], found.arena_bytes, expected))
    assert len(rows) == 391
    assert not wrong


@needs_shared
def test_smallest_arena_equals_every_searched_row() -> None:
    shas = {row["model"]: row["sha256"] for row in table("tflm_arena_cortexm.csv")}
    rows = [row for row in table("tflm_arena_min_cortexm.csv") if row["arena_min_bytes"]]
    wrong = []
    for row in rows:
        path = str(by_sha()[shas[row["model"]]].path)
        found = arena(load(path), library=LIBRARIES[row["kernels"]], core=core_of(row["core"]))
        if found.min_arena_bytes != int(row["arena_min_bytes"]):
            wrong.append((row["model"], row["core"], row["kernels"], found.min_arena_bytes, row["arena_min_bytes"]))
    assert len(rows) == 128
    assert not wrong


@needs_shared
@pytest.mark.parametrize("entry", [m for m in models() if m.row["tflm_arena_head"]], ids=lambda m: m.name)
def test_head_and_tail_equal_what_the_python_package_reports(entry: Model) -> None:
    if entry.name in REFUSED_BY_US:
        with pytest.raises(ModelError, match=REFUSED_BY_US[entry.name]):
            read(entry.path)
        return
    found = arena(load(str(entry.path)), library="reference", core=None, target=HOST64)
    assert found.head_bytes == int(entry.row["tflm_arena_head"])
    assert found.arena_bytes == int(entry.row["tflm_arena_bytes"])


@needs_shared
@pytest.mark.parametrize(
    ("name", "measured_kib"),
    [("tflm_person_detect", 80.3711), ("mlperf_kws_int8", 22.2461), ("mlperf_ad01_int8", 2.3242)],
)
def test_esp32_boards_measured_to_the_byte(name: str, measured_kib: float) -> None:
    """arena_used on real ESP32 boards (mcufit-bench, in measured.csv): 32-bit pointers, enums of four bytes."""
    found = arena(load(str(model(name).path)), library="esp-nn", core=load_core("xtensa-lx6"))
    assert found.arena_bytes == round(measured_kib * 1024)


@needs_shared
def test_wasm32_totals_differ_by_one_constant() -> None:
    """mcufit's wasm32 build of TFLM has 4-byte enums; its fixed overhead is one constant, up to one alignment step."""
    from mcuprof.runtimes.tflm.abi import ILP32

    gaps = []
    for row in table("tflm_arena_cortexm.csv"):
        plain = (row["core"], row["kernels"]) == ("m4", "ref") and not int(row["resource_vars"])
        if plain and row["wasm32_total"]:
            found = arena(load(str(by_sha()[row["sha256"]].path)), library="reference", core=None, target=ILP32)
            gaps.append(int(row["wasm32_total"]) - found.arena_bytes)
    assert len(gaps) > 30
    assert max(gaps) - min(gaps) <= 16


def two_inputs_added(metadata: dict[str, bytes] | None = None) -> Graph:
    quantized = {"scale": (0.5,), "zero_point": (0,)}
    tensors = [tensor(name, (1, 40), **quantized) for name in ("a", "b", "sum")]  # type: ignore[arg-type]
    return graph(tensors, [op("ADD", (0, 1), (2,))], (0, 1), (2,), metadata=metadata)


def offline_plan(*offsets: int) -> dict[str, bytes]:
    return {"OfflineMemoryAllocation": struct.pack(f"<{3 + len(offsets)}i", 1, 1, len(offsets), *offsets)}


def test_every_buffer_takes_its_own_aligned_place() -> None:
    assert arena(two_inputs_added(), library="reference", core=None).head_bytes == 3 * 48


def test_a_stored_plan_is_obeyed_even_where_buffers_overlap() -> None:
    found = arena(two_inputs_added(offline_plan(0, 48, 0)), library="reference", core=None)
    assert (found.head_bytes, found.offsets) == (96, (0, 48, 0))


def test_buffers_without_a_stored_offset_are_placed_around_the_others() -> None:
    found = arena(two_inputs_added(offline_plan(48, -1, -1)), library="reference", core=None)
    assert found.offsets == (48, 96, 0)  # equal sizes: the later one first, into the lowest gap


def test_a_stored_plan_for_another_model_is_refused() -> None:
    with pytest.raises(ModelError, match="for 2 tensors, it has 3"):
        arena(two_inputs_added(offline_plan(0, 0)), library="reference", core=None)


def test_subgraphs_that_call_each_other_are_refused() -> None:
    call = op("CALL_ONCE", (), (), {"init_subgraph": 1})
    inner = graph([], [call], (), ())
    with pytest.raises(ModelError, match="calls itself"):
        arena(graph([], [call], (), (), subgraphs=[inner]), library="reference", core=None)


def test_libraries_belong_to_their_cores() -> None:
    with pytest.raises(UsageError, match="Arm cores"):
        arena(two_inputs_added(), library="cmsis-nn", core=load_core("xtensa-lx6"))
    with pytest.raises(UsageError, match="no kernel library 'fast'"):
        arena(two_inputs_added(), library="fast", core=None)


def test_unknown_kernels_are_named_not_guessed() -> None:
    made_up = graph([tensor("x", (4,)), tensor("y", (4,))], [op("NO_SUCH", (0,), (1,))], (0,), (1,))
    assert arena(made_up, library="reference", core=None).inexact == ("NO_SUCH",)


def test_int4_weights_are_unpacked_into_scratch() -> None:
    """conv.cc requests one byte per int4 weight (tflm.md §2)."""
    weights = tensor("w", (8, 3, 3, 4), DType.INT4, data=bytes(144), scale=(0.1,), zero_point=(0,))
    x = tensor("x", (1, 3, 3, 4), scale=(0.1,), zero_point=(0,))
    y = tensor("y", (1, 1, 1, 8), scale=(0.1,), zero_point=(0,))
    conv = op("CONV_2D", (0, 1), (2,), {"stride_h": 1, "stride_w": 1, "padding": "VALID"})
    found = arena(graph([x, weights, y], [conv], (0,), (2,)), library="reference", core=None)
    assert [request.nbytes for request in found.requests] == [48, 16, 288]


TWINS = ("ds_cnn", "mobilenet_v1_025_96", "resnet8", "autoencoder", "inception", "digits")
ALLOCATING = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "CONCATENATION",
    "ADD",
)


@pytest.mark.parametrize("form", ["qdq", "qop"])
@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize(
    ("library", "core"),
    [("reference", "cortex-m4"), ("cmsis-nn", "cortex-m4"), ("cmsis-nn", "cortex-m55"), ("esp-nn", "xtensa-lx6")],
)
def test_kernels_of_an_onnx_file_allocate_what_its_tflite_twin_does(
    library: str, core: str, name: str, form: str
) -> None:
    """The same network in the other layout: OIHW weights and NCHW tensors are no reason to allocate less."""
    rules = kernel_rules(library, load_core(core))

    def allocations(graph: Graph) -> Counter[object]:
        ops = [op for op in graph.ops if op.kind in ALLOCATING]
        return Counter((op.kind, rules[op.kind](graph, op, ARM)) for op in ops)

    samples = Path(__file__).resolve().parents[2] / "samples"
    twin = allocations(read(samples / f"{name}_int8.tflite"))
    assert allocations(read(samples / f"{name}_{form}.onnx")) == twin


def test_weights_stored_the_other_way_round_have_the_same_tables() -> None:
    """ONNX MatMul keeps [in, out]: 3 outputs over a depth of 20, one multiplier and one shift each."""
    weights = tensor("w", (20, 3), data=bytes(60), scale=(0.1, 0.2, 0.3), zero_point=(0, 0, 0))
    tensors = [
        tensor("x", (1, 20), scale=(1,), zero_point=(0,)),
        weights,
        tensor("y", (1, 3), scale=(1,), zero_point=(0,)),
    ]
    dense = op("FULLY_CONNECTED", (0, 1), (2,), {"transposed": True})
    made = kernel_rules("reference", None)["FULLY_CONNECTED"](graph(tensors, [dense], (0,), (2,)), dense, ARM)
    assert made.prepare == (12, 12)
