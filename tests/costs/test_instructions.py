"""Instruction laws against whole TFLM models executed on emulated cores, operator by operator and in total."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

import pytest

from mcuprof.costs import NoData, instructions
from mcuprof.costs.laws import count, law_book
from mcuprof.graph import DType
from tests.costs.networks import convolution, dense, one_op, tensor
from tests.costs.truth import counted, model

TOOLS = Path(__file__).resolve().parents[2] / "tools"
KERNELS = {"reference": "ref", "cmsis-nn": "cmsis"}
EXECUTED = [
    *((core, "cmsis-nn") for core in ("m4", "m7", "m33", "m55")),
    *((core, "reference") for core in ("m0plus", "m4", "m7", "m33", "m55")),
]


@pytest.mark.parametrize(("core", "kernels"), EXECUTED)
def test_totals_of_executed_models(core: str, kernels: str) -> None:
    errors = {}
    for row in counted("tflm_totals_cortexm.csv"):
        if (row["core"], row["kernels"]) == (core, KERNELS[kernels]):
            found = instructions(model(row["sha256"]), f"cortex-{core}", kernels)
            assert isinstance(found, int), found
            errors[row["model"]] = abs(found / int(row["instr_invoke_second"] or row["instr_invoke"]) - 1)
    assert len(errors) >= 39
    assert median(errors.values()) <= 0.03
    assert max(errors.values()) <= 0.10, max(errors, key=lambda name: errors[name])


@pytest.mark.parametrize(("core", "kernels"), EXECUTED)
def test_recorded_held_out_errors_meet_the_target(core: str, kernels: str) -> None:
    book = law_book(f"cortex-{core}", kernels)
    assert book is not None
    assert book.basis == "leave-one-model-out"
    assert book.median <= 0.03
    assert book.worst <= 0.10


def test_held_out_errors_are_what_the_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    counted("tflm_instr_cortexm.csv")
    monkeypatch.syspath_prepend(str(TOOLS))
    from compose import laws  # type: ignore[import-not-found, unused-ignore]
    from fit_kernels import validate  # type: ignore[import-not-found, unused-ignore]

    check = validate("m0plus", "ref", laws("m0plus", "ref"))
    book = law_book("cortex-m0plus", "reference")
    assert book is not None
    assert median(map(abs, check.errors.values())) == pytest.approx(book.median, abs=1e-4)
    assert max(map(abs, check.errors.values())) == pytest.approx(book.worst, abs=1e-4)
    for name in ("compose", "fit_kernels", "fitting", "tables"):
        sys.modules.pop(name, None)


def test_operators_of_keyword_spotting() -> None:
    """Each convolution of DS-CNN within 3 % of its executed count, its pool within 5 %."""
    sha = next(row["sha256"] for row in counted("tflm_totals_cortexm.csv") if row["model"] == "kws_int8")
    graph, book = model(sha), law_book("cortex-m4", "cmsis-nn")
    assert book is not None
    tolerance = {"CONV_2D": 0.03, "DEPTHWISE_CONV_2D": 0.03, "AVERAGE_POOL_2D": 0.05}
    checked = 0
    for row in counted("tflm_instr_cortexm.csv"):
        if (row["model"], row["core"], row["kernels"]) == ("kws_int8", "m4", "cmsis") and row["op"] in tolerance:
            found = count(graph, graph.ops[int(row["op_index"])], book).instructions
            assert found == pytest.approx(int(row["instructions"]), rel=tolerance[row["op"]])
            checked += 1
    assert checked == 10


def test_unknown_core_or_kernels_give_a_reason_and_no_number() -> None:
    graph = convolution(8, 8, 4, 4, (3, 3))
    for core, kernels in (("xtensa-lx7", "reference"), ("cortex-m4", "esp-nn"), ("xtensa-lx6", "esp-nn")):
        found = instructions(graph, core, kernels)
        assert isinstance(found, NoData)
        assert core in found.reason
        assert kernels in found.reason


def test_an_operator_without_a_law_is_named_and_makes_the_total_unknown() -> None:
    found = instructions(dense(16, 4, DType.FLOAT32), "cortex-m4", "cmsis-nn")
    assert isinstance(found, NoData)
    assert "FULLY_CONNECTED: fc_f32" in found.reason
    custom = instructions(one_op("CUSTOM:mine", [tensor((1, 4))], tensor((1, 4))), "cortex-m4", "reference")
    assert isinstance(custom, NoData)
    assert "CUSTOM:mine" in custom.reason


def test_a_law_of_one_network_is_not_stretched() -> None:
    """LSTMs were counted in one network (257 or 128 inputs, 128 cells, one step): 1.4 instructions per MAC.

    A network of 28 steps of 20 cells takes 5 (trained_lstm_int8: 574,560 instructions for 113,120 MACs, Cortex-M4).
    """
    for steps, depth, cells, known in ((1, 128, 128, True), (1, 200, 100, True), (28, 28, 20, False)):
        matrices = [tensor((cells, depth), constant=True)] * 4 + [tensor((cells, cells), constant=True)] * 4
        graph = one_op(
            "UNIDIRECTIONAL_SEQUENCE_LSTM", [tensor((1, steps, depth)), *matrices], tensor((1, steps, cells))
        )
        found = instructions(graph, "cortex-m4", "cmsis-nn")
        assert isinstance(found, int) == known


def test_broken_operands_are_no_data() -> None:
    graph = one_op("CONV_2D", [tensor((1, 4))], tensor((1, 4)))
    found = instructions(graph, "cortex-m4", "cmsis-nn")
    assert isinstance(found, NoData)
