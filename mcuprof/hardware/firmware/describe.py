"""From declared regions to the text of a device file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from mcuprof.errors import DeviceError
from mcuprof.hardware.device import Device
from mcuprof.hardware.files import DeviceFile, FileError, Problem, parse
from mcuprof.hardware.firmware import map_file, pack, scatter, script
from mcuprof.hardware.firmware.regions import Declared, holds_arena, kind_of, read_text
from mcuprof.hardware.resolve import check
from mcuprof.hardware.toml_text import key_value, quoted

_STATED = "stated on import"


class Fact(msgspec.Struct, frozen=True):
    """A line `key = value` of the device file, and its line in [sources] (None: the key states no fact)."""

    key: str
    value: str
    source: str | None


class Identity(msgspec.Struct, frozen=True):
    """What no linker knows: `like` lends core, clock and caches; `core` and `clock` (such as "80MHz") override it."""

    name: str
    like: Device | None = None
    core: str | None = None
    clock: str | None = None


def describe(memory: Path, map_path: Path | None, identity: Identity, target: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a device file for `target`, which loads; and what the user should know, a sentence each.

    `memory` is a linker script, map file, scatter file or pack description; `map_path` the map of the same firmware.
    Raises DeviceError with file, line and reason.
    """
    declared = _declared(memory, identity.name)
    notes: list[str] = []
    uses: dict[str, map_file.Use] = {}
    if map_path is None and map_file.is_map(read_text(memory)):
        map_path = memory
    if map_path is not None:
        text = read_text(map_path)
        _same_memory(declared, map_file.regions(text, map_path), map_path)
        uses = map_file.uses(text, declared)
        notes += _use_notes(uses)
    else:
        notes.append("without --map nothing is known of what the firmware itself takes: use --reserve-ram")
    notes += _too_much(declared, memory, identity.like)
    facts, like = list(_facts(identity, map_path is not None)), identity.like
    files = " and ".join(path.name for path in dict.fromkeys((memory, map_path)) if path is not None)
    lines = [
        key_value("name", identity.name),
        key_value("vendor", like.vendor if like else "not stated"),
        key_value("part", like.part if like else identity.name),
        *(f"{fact.key} = {fact.value}" for fact in facts),
        *_regions(declared, uses, memory),
        "[sources]",
        *(key_value(fact.key, fact.source) for fact in facts if fact.source is not None),
        key_value("regions", files),
        "[doubts]",
        *_doubts(map_path),
    ]
    text = "\n".join(lines) + "\n"
    file, source = parse(target, text, DeviceFile)
    if problems := check(file, source):
        raise DeviceError(f"{memory}: {problems[0].key}: {problems[0].reason}")
    return text, tuple(notes)


def _declared(path: Path, part: str | None) -> list[Declared]:
    text = read_text(path)
    if map_file.is_map(text):
        found = map_file.regions(text, path)
    elif pack.is_pack(text):
        found = pack.regions(text, path, part)
    elif script.is_script(text):
        found = script.regions(text, path)
    elif scatter.is_scatter(text):
        found = scatter.regions(text, path)
    else:
        raise FileError(Problem(path, "", "is no linker script with MEMORY, map, scatter file or .pdsc"))
    found = [region for region in found if region.bytes]
    _no_partial_overlap(found, path)
    if not any(kind_of(region, path) == "ram" for region in found):
        raise FileError(Problem(path, "", "declares no RAM on the chip"))
    return found


def _no_partial_overlap(declared: list[Declared], path: Path) -> None:
    """A region may lie inside another (it shows the same bytes); two that overlap in part are a mistake."""
    for index, one in enumerate(declared):
        for other in declared[:index]:
            apart = one.end <= other.address or other.end <= one.address
            if not apart and not _inside(one, other) and not _inside(other, one):
                reason = f"{one.name} overlaps {other.name} (line {other.line}) in part"
                raise FileError(Problem(path, "", reason, one.line or None))


def _inside(one: Declared, other: Declared) -> bool:
    return other.address <= one.address and one.end <= other.end


def _same_memory(declared: list[Declared], linked: list[Declared], path: Path) -> None:
    """The map must be of a firmware that was linked with these regions."""
    by_name = {region.name: region for region in linked}
    for region in declared:
        other = by_name.get(region.name)
        if other is None or (other.address, other.bytes) != (region.address, region.bytes):
            theirs = f"{other.bytes:,} B at {other.address:#x}" if other else "not there"
            reason = f"is of other memory: {region.name} is {theirs}, not {region.bytes:,} B at {region.address:#x}"
            raise FileError(Problem(path, "", reason, other.line if other else None))


def _use_notes(uses: dict[str, map_file.Use]) -> Iterator[str]:
    arenas = {name: size for use in uses.values() for name, size in use.arenas.items()}
    for name, size in arenas.items():
        yield f"{name} of {size:,} B is taken for the present model's arena and not counted as the firmware's"
    if not any("stack" in name.lower() for use in uses.values() for name in use.sections):
        yield "the map has no stack section: the application's own stack is not in the reserve"


def _too_much(declared: list[Declared], path: Path, like: Device | None) -> Iterator[str]:
    """Where the regions have more RAM than the device has, some of it is there twice."""
    known = like.ram_bytes if like else None
    own = [each for each in declared if kind_of(each, path) == "ram" and not _container(each, declared)]
    total = sum(each.bytes for each in own)
    if like and known is not None and total > known:
        yield (
            f"the regions have {total:,} B of RAM, {like.id} has {known:,} B: one shows bytes of another, "
            f'give it alias = "NAME"'
        )


def _container(region: Declared, declared: list[Declared]) -> Declared | None:
    """The region whose bytes this one shows: the largest around it, of equal ones the first."""
    around = [each for each in declared if _inside(region, each)]
    largest = max(around, key=lambda each: each.bytes)
    return None if largest == region else largest


def _facts(identity: Identity, mapped: bool) -> Iterator[Fact]:
    """What is stated, and what the device that this one is like lends: of its own core only, where another is named."""
    like = identity.like
    if identity.core:
        yield Fact("cores", f"[{quoted(identity.core)}]", _STATED)
    elif like and like.core.id != "unknown":
        yield Fact("cores", f"[{quoted(like.core.id)}]", _lent(like, "cores"))
    same_core = like is not None and identity.core in (None, like.core.id)
    if identity.clock:
        yield Fact("clock", quoted(identity.clock), _STATED)
    elif like and same_core and like.clock_hz:
        yield Fact("clock", quoted(f"{like.clock_hz / 1e6:.12g}MHz"), _lent(like, "clock"))
    if like is None or not same_core:
        return
    lent: dict[str, str | None] = {
        "fpu": quoted(like.core.fpu) if "fpu" in like.sources and like.core.fpu else None,
        "dsp": str(like.core.dsp).lower() if "dsp" in like.sources else None,
        "icache": quoted(f"{like.icache_bytes}B") if like.icache_bytes else None,
        "dcache": quoted(f"{like.dcache_bytes}B") if like.dcache_bytes else None,
        "flash_wait_states": None if like.flash_wait_states is None else str(like.flash_wait_states),
        "flash_accelerator": None if like.flash_accelerator is None else quoted(like.flash_accelerator),
        "accelerators": f"[{', '.join(map(quoted, like.accelerators))}]" if like.accelerators else None,
        "reserve": quoted(f"{like.reserve_bytes}B") if like.reserve_bytes and not mapped else None,
    }
    for key, value in lent.items():
        if value is not None:
            yield Fact(key, value, _lent(like, key))
    yield Fact("runtime", quoted(like.runtime), None)
    yield Fact("kernels", quoted(like.kernels), None)


def _regions(declared: list[Declared], uses: dict[str, map_file.Use], path: Path) -> Iterator[str]:
    yield "regions = ["
    for region in sorted(declared, key=lambda each: each.address):
        kind = kind_of(region, path)
        cells = [f"name = {quoted(region.name)}", f'kind = "{kind}"', f'size = "{_size(region.bytes)}"']
        cells.append(f"address = {region.address:#010x}")
        if container := _container(region, declared):
            cells.append(f"alias = {quoted(container.name)}")
        if kind.endswith("ram"):
            cells.append("merge = false")  # a section lies in one region, whatever touches it
            if not holds_arena(region):
                cells.append("arena = false")
            if (use := uses.get(region.name)) and use.bytes > 0:
                cells.append(f'reserve = "{use.bytes}B"')
        yield f"  {{ {', '.join(cells)} }},"
    yield "]"


def _doubts(map_path: Path | None) -> Iterator[str]:
    yield key_value("regions", "two regions may show the same bytes at two addresses: a linker script does not tell")
    if map_path is not None:
        yield key_value("reserve", f"what {map_path.name} places in RAM; heap and stack only where they have sections")


def _lent(like: Device, key: str) -> str:
    return f"{like.id}: {like.sources.get(key, 'no source')}"


def _size(count: int) -> str:
    for unit, size in (("M", 1024**2), ("K", 1024)):
        if count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}B"
