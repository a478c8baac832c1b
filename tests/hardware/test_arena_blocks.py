"""An arena must fit one contiguous block: which blocks a device has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcuprof.hardware import Device, Region, load_core, load_device

K = 1024


def device(*regions: Region, reserve: int = 0) -> Device:
    return Device(
        id="test",
        name="Test",
        vendor="Nobody",
        part="X",
        boards=(),
        core=load_core("cortex-m4"),
        core_count=1,
        clock_hz=None,
        regions=regions,
        reserve_bytes=reserve,
        runtime="tflm",
        kernels="reference",
        accelerator=None,
        flash_wait_states=None,
        icache_bytes=None,
        dcache_bytes=None,
        sources={},
    )


@pytest.mark.parametrize(
    ("name", "largest"),
    [
        # Added up by hand from the probe-rs maps in the survey; 320, 128 and 512 KiB also in mcufit 0.5.2 boards.yaml.
        ("stm32f746ng", 320 * K),
        ("stm32l4r5zi", 640 * K),
        ("stm32f722ze", 256 * K),
        ("stm32f407vg", 128 * K),
        ("stm32h743zi", 512 * K),
        ("stm32u575zi", 768 * K),
        ("stm32l496zg", 320 * K),
        ("stm32l476rg", 96 * K),
        ("nrf52840", 256 * K),
        ("nrf5340", 512 * K),
        ("teensy41", 512 * K),
    ],
)
def test_the_largest_block_of_well_known_parts(name: str, largest: int) -> None:
    assert load_device(name).arena_blocks()[0].bytes == largest


def test_blocks_of_the_h7_are_apart_and_largest_first() -> None:
    blocks = load_device("stm32h743zi").arena_blocks()
    assert [(block.name, block.bytes) for block in blocks] == [
        ("AXISRAM", 512 * K),
        ("SRAM1+SRAM2+SRAM3", 288 * K),
        ("DTCM", 128 * K),
        ("SRAM4", 64 * K),
    ]


def test_only_touching_regions_of_one_kind_are_merged() -> None:
    got = device(
        Region("low", "ram", 16, 0x100),
        Region("touching", "ram", 16, 0x110),
        Region("after a hole", "ram", 16, 0x124),
        Region("psram", "external-ram", 16, 0x134),
        Region("nowhere", "ram", 8),
        Region("nowhere else", "ram", 8),
    ).arena_blocks()
    assert [(block.name, block.bytes) for block in got] == [
        ("low+touching", 32),
        ("after a hole", 16),
        ("nowhere", 8),
        ("nowhere else", 8),
    ]


def test_aliases_and_memory_without_arenas_are_never_counted() -> None:
    regions = (
        Region("SRAM", "ram", 64, 0x1000),
        Region("backup", "ram", 64, 0x1040, arena=False),
        Region("SRAM again", "ram", 64, 0x1080, alias="SRAM"),
        Region("kept apart", "ram", 64, 0x10C0),
        Region("above", "ram", 64, 0x1100, merge=False),
    )
    got = device(*regions)
    assert [(block.name, block.bytes) for block in got.arena_blocks()] == [
        ("SRAM", 64),
        ("kept apart", 64),
        ("above", 64),
    ]
    assert got.ram_bytes == 256


def test_external_ram_is_asked_for_by_name() -> None:
    portenta = load_device("portenta-h7")
    assert [block.bytes for block in portenta.arena_blocks("external-ram")] == [8 * K * K]
    assert "SDRAM" not in {block.name for block in portenta.arena_blocks()}


def test_no_arena_lies_in_instruction_backup_or_foreign_memory() -> None:
    for name, forbidden in [
        ("stm32h743zi", "ITCM"),
        ("esp32", "IRAM0"),
        ("esp32-c6", "LP SRAM"),
        ("rp2350", "SCRATCH_X"),
        ("alif-e7", "SRAM4"),
        ("k210", "KPU SRAM"),
    ]:
        found = load_device(name)
        assert forbidden in {region.name for region in found.regions}
        assert forbidden not in {part for block in found.arena_blocks() for part in block.regions}


def test_capacity_leaves_the_reserve_to_the_firmware() -> None:
    one = device(Region("SRAM", "ram", 256 * K, 0), reserve=48 * K)
    assert one.arena_capacity() == 208 * K
    assert one.arena_capacity(0) == 256 * K
    assert one.arena_capacity(300 * K) == 0
    # A second block takes the reserve first; what it cannot take comes out of the largest.
    two = device(Region("SRAM", "ram", 256 * K, 0), Region("CCM", "ram", 32 * K, 0x10000000), reserve=48 * K)
    assert two.arena_capacity() == 240 * K
    assert device().arena_capacity() is None


def test_the_loaded_reserve_is_the_one_its_source_states() -> None:
    # mcufit 0.5.2, boards.yaml: reserved_sram of nano33ble is 49152 of 262144 bytes.
    nano = load_device("nano33ble")
    assert (nano.reserve_bytes, nano.arena_capacity()) == (49152, 262144 - 49152)
    assert "mcufit" in nano.sources["reserve"]
    assert "reserve" in nano.doubts
    assert load_device("nucleo-l4r5zi").doubts["reserve"] == "nothing reserved is known; use --reserve-ram"


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_blocks_against_runs_of_single_bytes(layout: list[tuple[int, int, bool, bool]]) -> None:
    """Brute force: walk the bytes of the address space and cut runs where a byte is missing or a border is closed."""
    regions, usable, closed, address = [], set(), set(), 0
    for index, (size, hole, arena, merge) in enumerate(layout):
        address += hole
        regions.append(Region(f"r{index}", "ram", size, address, arena=arena, merge=merge))
        if arena:
            usable |= set(range(address, address + size))
        if not merge:
            closed.add(address)
        address += size
    runs: list[int] = []
    for byte in sorted(usable):
        if byte - 1 in usable and byte not in closed:
            runs[-1] += 1
        else:
            runs.append(1)
    assert [block.bytes for block in device(*reversed(regions)).arena_blocks()] == sorted(runs, reverse=True)
