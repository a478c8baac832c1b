"""From a device file to a `Device`: units parsed, core record inside, defaults filled in, contradictions refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from mcuprof.errors import UsageError
from mcuprof.hardware.device import Calibration, Core, Device, NpuSetting, Region
from mcuprof.hardware.files import (
    CalibrationEntry,
    DeviceFile,
    FileError,
    NpuEntry,
    Problem,
    RegionEntry,
    Source,
    clock_hertz,
    size_bytes,
)

UNKNOWN_CORE = Core(id="unknown", name="core not stated", isa="unknown")
NO_RESERVE = "nothing reserved is known; use --reserve-ram"

_SIZES = ("icache", "dcache", "ram_total", "reserve")
_CLOCK_RANGE = (1_000_000, 2_000_000_000)


def default_kernels(vendor: str, core_id: str) -> str:
    """The kernel library the vendor of a core ships with TFLM: `cmsis-nn`, `esp-nn` or, without one, `reference`."""
    if vendor == "Espressif":
        return "esp-nn"
    return "cmsis-nn" if core_id.startswith("cortex-m") else "reference"


def check(file: DeviceFile, source: Source) -> list[Problem]:
    """Everything that keeps a device file from becoming a device: units, ranges, names, overlapping regions."""
    found = [source.problem(key, "is empty") for key in ("name", "vendor", "part") if not getattr(file, key).strip()]
    for key in _SIZES:
        if (text := getattr(file, key)) is not None:
            found += unit_problem(source, key, text, size_bytes)
    if file.clock is not None:
        found += unit_problem(source, "clock", file.clock, clock_hertz)
        low, high = _CLOCK_RANGE
        if not found and not low <= clock_hertz(file.clock) <= high:
            found.append(source.problem("clock", f"{file.clock} is outside 1 MHz to 2 GHz"))
    if file.calibration is not None:
        found += unit_problem(source, "calibration.clock", file.calibration.clock, clock_hertz)
    if file.npu is not None and file.npu.clock is not None:
        found += unit_problem(source, "npu.clock", file.npu.clock, clock_hertz)
    if file.flash_wait_states is not None and not 0 <= file.flash_wait_states <= 31:
        found.append(source.problem("flash_wait_states", f"{file.flash_wait_states} is outside 0 to 31"))
    if file.bytes_per_cycle is not None and not 0 < file.bytes_per_cycle <= 1024:
        found.append(source.problem("bytes_per_cycle", f"{file.bytes_per_cycle:g} is outside 0 to 1024"))
    for index, entry in enumerate(file.regions):
        found += unit_problem(source, f"regions[{index}].size", entry.size, size_bytes)
        if entry.reserve is not None:
            found += unit_problem(source, f"regions[{index}].reserve", entry.reserve, size_bytes)
    if not found:
        found += _region_problems(file.regions, source)
    return found


def device_of(
    identifier: str,
    file: DeviceFile,
    source: Source,
    load_core: Callable[[str], Core],
    core_id: str | None = None,
) -> Device:
    """The device a file describes, seen from `core_id` (default: its first core).

    Another core has no known clock and does not see the first one's tightly coupled memory.
    Raises FileError with file, line, key and reason.
    """
    if problems := check(file, source):
        raise FileError(problems[0])
    first = file.cores[0] if file.cores else None
    selected = core_id or first
    core = load_core(selected) if selected else UNKNOWN_CORE
    clock = clock_hertz(file.clock) if file.clock else None
    regions = tuple(map(_region, file.regions))
    # The user's own accelerator is a file beside the device's.
    accelerators = tuple(
        str(source.path.parent / each) if each.endswith(".toml") else each for each in file.accelerators
    )
    if selected == first:
        dsp = core.dsp if file.dsp is None else file.dsp
        settled = {key for key in ("dsp", "fpu") if getattr(file, key) is not None}
        doubts = {key: text for key, text in core.doubts.items() if key not in settled}
        core = msgspec.structs.replace(core, dsp=dsp, fpu=file.fpu or core.fpu, doubts=doubts)
    else:
        clock = None
        regions = tuple(msgspec.structs.replace(r, arena=r.arena and r.bus != "tcm") for r in regions)
    return Device(
        id=identifier,
        name=file.name,
        vendor=file.vendor,
        part=file.part,
        boards=file.boards,
        core=core,
        core_count=max(1, len(file.cores)),
        clock_hz=clock,
        regions=regions,
        reserve_bytes=size_bytes(file.reserve) if file.reserve else 0,
        runtime=file.runtime,
        kernels=file.kernels or default_kernels(file.vendor, core.id),
        accelerator=accelerators[0] if accelerators else None,
        flash_wait_states=file.flash_wait_states,
        icache_bytes=size_bytes(file.icache) if file.icache else None,
        dcache_bytes=size_bytes(file.dcache) if file.dcache else None,
        sources=file.sources,
        doubts=doubts_of(file),
        notes=file.notes,
        cores=file.cores,
        accelerators=accelerators,
        ram_total_bytes=size_bytes(file.ram_total) if file.ram_total else None,
        flash_accelerator=file.flash_accelerator,
        bytes_per_cycle=file.bytes_per_cycle if selected == first else None,
        calibration=_calibration(file.calibration) if file.calibration else None,
        npu=_npu(file.npu) if file.npu else None,
    )


def _npu(entry: NpuEntry) -> NpuSetting:
    return NpuSetting(entry.system, entry.mode, clock_hertz(entry.clock) if entry.clock else None)


def _calibration(entry: CalibrationEntry) -> Calibration:
    facts = msgspec.structs.asdict(entry)
    return Calibration(clock_hz=clock_hertz(facts.pop("clock")), **facts)


def doubts_of(file: DeviceFile) -> Mapping[str, str]:
    """The doubts a file states, and that nothing is known of the firmware's share where it gives none."""
    if file.reserve or "reserve" in file.doubts:
        return file.doubts
    return {**file.doubts, "reserve": NO_RESERVE}


def _region(entry: RegionEntry) -> Region:
    return Region(
        name=entry.name,
        kind=entry.kind,
        bytes=size_bytes(entry.size),
        address=entry.address,
        bus=entry.bus,
        alias=entry.alias,
        arena=entry.arena,
        merge=entry.merge,
        reserve_bytes=size_bytes(entry.reserve) if entry.reserve else 0,
    )


def unit_problem(source: Source, key: str, text: str, parse: Callable[[str], int]) -> list[Problem]:
    """What `parse` has against the text of a key, as no or one problem."""
    try:
        parse(text)
    except UsageError as error:
        return [source.problem(key, str(error))]
    return []


def _region_problems(entries: tuple[RegionEntry, ...], source: Source) -> list[Problem]:
    found: list[Problem] = []
    names = [entry.name for entry in entries]
    placed: list[tuple[int, int, str]] = []
    for index, entry in enumerate(entries):
        key = f"regions[{index}]"
        if entry.reserve is not None and size_bytes(entry.reserve) > size_bytes(entry.size):
            found.append(source.problem(key, f"the firmware cannot take {entry.reserve} of {entry.name!r}"))
        if names.index(entry.name) != index:
            found.append(source.problem(key, f"a second region is named {entry.name!r}"))
        if entry.alias is not None:
            if entry.alias not in names or entry.alias == entry.name:
                found.append(source.problem(key, f"alias names no other region: {entry.alias!r}"))
            continue
        if entry.address is None:
            continue
        begin, end = entry.address, entry.address + size_bytes(entry.size)
        if begin < 0:
            found.append(source.problem(key, f"the address of {entry.name!r} is negative"))
        for other_begin, other_end, other in placed:
            if begin < other_end and other_begin < end:
                found.append(source.problem(key, f"{entry.name!r} overlaps {other!r}"))
        placed.append((begin, end, entry.name))
    return found
