"""The shipped database against the survey it was made from, row by row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mcuprof.hardware import Device, database_path, list_devices, load_accelerator, load_core
from mcuprof.hardware.parts import read_parts, regions_of
from mcuprof.hardware.validation import validate

Survey = Callable[[str], list[dict[str, str]]]

FPU = {"sp": "single", "dp": "double", "none": "none"}

# Parts whose map the survey's total contradicts (the same memory twice, maxima of a shared pool, a wrong bank size).
ODD_PARTS = {"esp32", "MIMXRT1060", "MIMXRT1064", "nRF54L15"}


@pytest.fixture(scope="module")
def devices() -> dict[str, Device]:
    return {device.id: device for device in list_devices()}


def kibibytes(count: int | None) -> float | None:
    return None if count is None else count / 1024


def test_the_shipped_database_is_valid() -> None:
    assert [str(problem) for problem in validate()] == []


def test_every_device_of_the_survey_is_there(devices: dict[str, Device], survey: Survey) -> None:
    assert set(devices) == {row["id"] for row in survey("devices.csv")}
    assert len(devices) == 178


def test_flash_and_ram_totals(devices: dict[str, Device], survey: Survey) -> None:
    wrong = []
    for row in survey("devices.csv"):
        device = devices[row["id"]]
        flash = float(row["flash_kib"] or 0) or None
        ram = float(row["ram_kib"]) if row["ram_kib"] else None
        if kibibytes(device.flash_bytes) != flash:
            wrong.append((device.id, "flash", device.flash_bytes, flash))
        # The survey rounds to 0.001 KiB; where it has no total, the regions it lists are the total.
        if ram is not None and kibibytes(device.ram_bytes) != pytest.approx(ram, abs=0.002):
            wrong.append((device.id, "ram", device.ram_bytes, ram))
        if ram is None and not row["ram_regions"] and device.ram_bytes is not None:
            wrong.append((device.id, "ram", device.ram_bytes, ram))
    assert wrong == []


def test_clock_wait_states_caches_and_fpu_are_the_surveys_or_absent(devices: dict[str, Device], survey: Survey) -> None:
    wrong: list[tuple[object, ...]] = []
    for row in survey("devices.csv"):
        device = devices[row["id"]]
        clock = float(row["clock_mhz"]) * 1e6 if row["clock_mhz"] else None
        states = int(row["flash_ws"]) if row["flash_ws"] else None
        caches = tuple(int(row[key]) * 1024 if row[key].isdigit() else None for key in ("icache_kib", "dcache_kib"))
        if (device.clock_hz, device.flash_wait_states) != (clock, states):
            wrong.append((device.id, device.clock_hz, clock, device.flash_wait_states, states))
        if (device.icache_bytes, device.dcache_bytes) != caches:
            wrong.append((device.id, "caches", device.icache_bytes, device.dcache_bytes))
        if (device.flash_accelerator or "") != row["flash_accel"]:
            wrong.append((device.id, "flash_accelerator", device.flash_accelerator))
        # The survey names no source for anything of the CXD5602.
        if row["fpu"] and row["id"] != "cxd5602" and device.core.fpu != FPU[row["fpu"]]:
            wrong.append((device.id, "fpu", device.core.fpu, row["fpu"]))
    assert wrong == []


def test_dsp_and_helium_are_those_of_the_survey(devices: dict[str, Device], survey: Survey) -> None:
    for row in survey("devices.csv"):
        core = devices[row["id"]].core
        assert core.mve == (row["simd"] == "mve"), row["id"]
        if row["simd"] == "dsp":
            assert core.dsp, row["id"]
        if row["simd"] == "none":
            assert not core.dsp, row["id"]


def test_no_block_for_an_arena_is_larger_than_the_ram_of_the_survey(devices: dict[str, Device], survey: Survey) -> None:
    for row in survey("devices.csv"):
        blocks = devices[row["id"]].arena_blocks()
        if row["ram_kib"]:
            assert sum(block.bytes for block in blocks) <= float(row["ram_kib"]) * 1024 + 1, row["id"]
        elif not row["ram_regions"]:
            assert blocks == (), row["id"]


def test_accelerators_are_on_the_devices_of_the_survey(devices: dict[str, Device], survey: Survey) -> None:
    named = {row["id"] for row in survey("devices.csv") if row["accelerator"]}
    # The DSPs of these two have no MAC figures and no file; their notes name them.
    assert {device.id for device in devices.values() if device.accelerators} == named - {"imxrt595", "imxrt685"}
    assert all(device.accelerator == device.accelerators[0] for device in devices.values() if device.accelerators)


def test_accelerator_macs_and_clocks(survey: Survey) -> None:
    for row in survey("accelerators.csv"):
        accelerator = load_accelerator(row["id"])
        assert accelerator.mac_i8_per_cycle == (float(row["mac_i8_per_cycle"]) if row["mac_i8_per_cycle"] else None)
        assert accelerator.clock_hz == (round(float(row["clock_mhz"]) * 1e6) if row["clock_mhz"] else None)


def test_core_macs(survey: Survey) -> None:
    rows = {row["core"]: row for row in survey("cores.csv")}
    for name in ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "cortex-m85"):
        core = load_core(name)
        assert core.isa == rows[name]["isa"]
        assert core.mac_i8_per_cycle == float(rows[name]["mac_i8_per_cycle"])
        assert core.mac_i16_per_cycle == float(rows[name]["mac_i16_per_cycle"])


def test_every_device_core_loads_and_has_a_source_for_every_fact(devices: dict[str, Device]) -> None:
    for device in devices.values():
        for core in device.cores:
            assert load_core(core).sources["isa"]
        if device.regions:
            assert device.sources["regions"]


def test_part_map_totals(survey: Survey) -> None:
    rows = {row["part"]: row for row in read_parts(database_path() / "parts.csv")}
    wrong = []
    for row in survey("parts.csv"):
        ours = rows.pop(row["part"])
        for kind in ("ram", "flash"):
            total = sum(region.bytes for region in regions_of(ours[kind], "ram"))
            if abs(total / 1024 - float(row[f"{kind}_kib"] or 0)) > 0.002 and row["part"] not in ODD_PARTS:
                wrong.append((row["part"], kind, total, row[f"{kind}_kib"]))
    assert wrong == []
    assert rows == {}
