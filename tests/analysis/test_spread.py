"""Tensors over a device's regions: what the report says of them, and that the verdict does not lean on it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mcuprof.analysis import Options, analyze
from mcuprof.document import Spread
from mcuprof.errors import UsageError
from mcuprof.hardware import Device, Region, load_device
from mcuprof.readers import read

SAMPLE = Path(__file__).parents[2] / "samples" / "resnet8_int8.tflite"


def board(*regions: Region) -> Device:
    return msgspec.structs.replace(
        load_device("stm32h743zi"), id="board", regions=regions, reserve_bytes=0, ram_total_bytes=None
    )


def spread_of(device: Device, **options: object) -> Spread:
    found = analyze(read(SAMPLE), device, Options(detail=True, **options)).memory.spread  # type: ignore[arg-type]
    assert isinstance(found, Spread)
    return found


def test_an_arena_too_large_for_any_region_does_not_fit_although_its_tensors_could_be_spread() -> None:
    """The net's peak is three tensors of 16,384 B, and a tail: too much for one of the two, not for both."""
    device = board(Region("A", "ram", 32 * 1024, 0x2000_0000), Region("B", "ram", 48 * 1024, 0x3000_0000))
    result = analyze(read(SAMPLE), device, Options(detail=True))
    found = result.memory.spread
    assert isinstance(found, Spread) and found.fits and found.runs_on == ()
    over = [use for use in result.memory.regions if use.used_bytes + use.reserved_bytes > use.capacity_bytes]
    assert over, "the verdict keeps the arena in one block"
    assert {row.region for row in found.plan} == {"A", "B"}


def test_closely_coupled_memory_comes_first_and_the_user_has_the_last_word() -> None:
    device = load_device("stm32h747xi")
    names = [use.name for use in spread_of(device).regions]
    assert (names[0], names[-1]) == ("DTCM", "SDRAM")
    wished = spread_of(device, arena_regions=("AXISRAM", "dtcm"))
    assert [use.name for use in wished.regions] == ["AXISRAM", "DTCM"]
    with pytest.raises(UsageError, match="no RAM region 'nowhere'"):
        spread_of(device, arena_regions=("nowhere",))


def test_no_choice_of_regions_no_spread() -> None:
    graph = read(SAMPLE)
    for device in (None, load_device("nrf52840")):
        assert analyze(graph, device, Options(detail=True)).memory.spread is msgspec.UNSET
    assert analyze(graph, load_device("stm32h743zi")).memory.spread is msgspec.UNSET


def test_inputs_and_outputs_outside_are_an_outlook_that_no_runtime_here_runs() -> None:
    graph = read(SAMPLE)
    inside, outside = (analyze(graph, None, Options(detail=True, io=io)).memory for io in ("in-arena", "outside"))
    assert outside.head_bytes == inside.head_bytes
    assert not isinstance(outside.strategies, msgspec.UnsetType)
    assert all(row.runs_on == () and row.io == "outside" for row in outside.strategies)
    with pytest.raises(UsageError, match="keeps inputs and outputs in its arena"):
        analyze(graph, None, Options(in_place="overlap", io="outside"))
