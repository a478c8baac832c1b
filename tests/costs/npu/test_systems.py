"""Clocks, bandwidths and memory modes of the systems around an Ethos-U, as Arm's compiler reports them."""

from __future__ import annotations

import pytest

from mcuprof.costs.npu import machine
from tests.corpus import needs_shared
from tests.costs.npu.vela import chip, rows

pytestmark = needs_shared


def test_bandwidths_and_clocks_are_those_that_vela_prints() -> None:
    seen = {(row.accelerator, row.system, row.mode): row.figures for row in rows()}
    assert len(seen) > 30
    for (accelerator, system, mode), figures in seen.items():
        found = machine(chip(accelerator), system, mode)
        assert found.clock_hz == float(figures["vela_core_clock"])
        gibibytes = found.staging.bandwidth * found.clock_hz / 2**30
        assert gibibytes == pytest.approx(float(figures["vela_sram_bandwidth"]))
        stored = {"dram": "dram", "off-chip flash": "off_chip_flash", "on-chip flash": "on_chip_flash"}
        column = f"vela_{stored[found.weights.name]}_bandwidth"
        assert found.weights.bandwidth * found.clock_hz / 2**30 == pytest.approx(float(figures[column]))
        if found.spills:
            assert found.limit == float(figures["vela_arena_cache_size"]) * 1024


def test_an_unknown_system_is_an_error() -> None:
    with pytest.raises(KeyError):
        machine(chip("ethos-u55-128"), "nowhere")
