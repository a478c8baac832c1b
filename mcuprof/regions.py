"""Where the arena, the stack and the firmware's own data go among a device's memory regions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mcuprof.document import Finding, RegionUse
from mcuprof.errors import UsageError
from mcuprof.hardware import Block, Device
from mcuprof.units import format_bytes

# Buses of memory that the core reads without waiting.
CLOSE = ("tcm", "ccm")


@dataclass(frozen=True, slots=True)
class _Room:
    """Addresses that one array may fill, of which the firmware keeps `kept` bytes at an end."""

    name: str
    bytes: int
    kept: int

    @property
    def free(self) -> int:
        return self.bytes - self.kept


def place(
    arena: int,
    stack: int,
    device: Device | None,
    reserve: Mapping[str, int] | None = None,
    arena_regions: tuple[str, ...] = (),
) -> tuple[tuple[RegionUse, ...], tuple[Finding, ...]]:
    """The regions' use in bytes, and what to say about it.

    The arena takes the largest block; stack and firmware take the others first, as a linker script that wants to make
    room would, and share the arena's block only when the others are too small. External RAM serves only an arena that
    no internal block could hold. `reserve` is what the firmware keeps in certain regions, besides the device's own
    reserve; `arena_regions` are those the arena may lie in, in order of preference. Raises UsageError for a region
    that the device does not have.
    """
    if device is None:
        return (), ()
    kept = _by_region(device, reserve or {})
    wanted = tuple(_known(device, name) for name in arena_regions)
    inside = _rooms(device, device.arena_blocks(), kept, wanted)
    outside = _rooms(device, device.arena_blocks("external-ram"), kept, wanted)
    if not inside:
        return _without_layout(arena, stack, device)
    if wanted:
        return _as_wanted(arena, stack, device, wanted, inside, outside)
    home, *others = inside
    if arena > home.free and outside and arena <= outside[0].free:
        home, others = outside[0], [home, *others]
        text = f"the arena of {format_bytes(arena)} fits only {home.name}, outside the chip"
        slow = (Finding("M108", "warning", text, "every access to it is slow: reduce the peak"),)
        return tuple(_distribute(arena, stack, device.reserve_bytes, home, others)), slow
    return tuple(_distribute(arena, stack, device.reserve_bytes, home, others)), ()


def rooms_for_tensors(
    device: Device, tail: int, stack: int, reserve: Mapping[str, int], arena_regions: tuple[str, ...] = ()
) -> tuple[tuple[str, int], ...]:
    """(name, free bytes) of the regions that tensors could be spread over, the preferred first.

    Preferred are `arena_regions` as named, else closely coupled memory, then the largest on-chip block, then external
    RAM. `tail`, stack and firmware go into the least preferred on-chip rooms that hold them, unwanted ones first. Empty
    where the layout is not known or these do not fit.
    """
    kept = _by_region(device, reserve)
    wanted = tuple(_known(device, name) for name in arena_regions)
    inside = _rooms(device, device.arena_blocks(), kept, wanted)
    outside = _rooms(device, device.arena_blocks("external-ram"), kept, wanted)
    buses = {region.name: region.bus for region in device.regions}
    inside.sort(key=lambda room: not any(buses.get(name) in CLOSE for name in room.name.split("+")))
    rooms = [*inside, *outside]
    if wanted:
        rank = {name: number for number, name in enumerate(wanted)}
        rooms.sort(key=lambda room: rank.get(room.name, len(rank)))
    free = {room.name: max(0, room.free) for room in rooms}
    for size in (tail, stack):
        home = next((r.name for r in reversed(rooms) if r in inside and free[r.name] >= size), None)
        if home is None:
            return ()
        free[home] -= size
    left = device.reserve_bytes
    for room in reversed(rooms):
        taken = min(left, free[room.name]) if room in inside else 0
        free[room.name] -= taken
        left -= taken
    if left:
        return ()
    return tuple((room.name, free[room.name]) for room in rooms if not wanted or room.name in wanted)


def _as_wanted(
    arena: int, stack: int, device: Device, wanted: tuple[str, ...], inside: list[_Room], outside: list[_Room]
) -> tuple[tuple[RegionUse, ...], tuple[Finding, ...]]:
    """In the first wanted room where everything fits, else in the wanted room with most space, whose lack is shown."""
    rooms = {room.name: room for room in (*inside, *outside)}
    homes = [rooms[name] for name in wanted if name in rooms]
    if not homes:
        raise UsageError(f"no arena can lie in {', '.join(wanted)} of {device.id}")
    uses = {
        home.name: tuple(
            _distribute(arena, stack, device.reserve_bytes, home, [room for room in inside if room is not home])
        )
        for home in homes
    }
    fitting = (
        home
        for home in homes
        if all(use.used_bytes + use.reserved_bytes <= use.capacity_bytes for use in uses[home.name])
    )
    home = next(fitting, max(homes, key=lambda home: home.free))
    if home not in outside:
        return uses[home.name], ()
    text = f"the arena of {format_bytes(arena)} lies in {home.name}, outside the chip"
    return uses[home.name], (Finding("M108", "warning", text, "every access to it is slow: reduce the peak"),)


def _by_region(device: Device, reserve: Mapping[str, int]) -> dict[str, int]:
    """Bytes kept per region by the device's own entry and beyond it; those of an alias count to what it shows again."""
    kept = {
        region.name: region.reserve_bytes
        for region in device.regions
        if region.reserve_bytes and region.kind in ("ram", "external-ram") and not region.alias
    }
    for name, count in reserve.items():
        region = _known(device, name)
        kept[region] = kept.get(region, 0) + count
    return kept


def _known(device: Device, name: str) -> str:
    """`name` as the device spells it. Raises UsageError when it has no such RAM."""
    regions = [region for region in device.regions if region.kind in ("ram", "external-ram")]
    for region in regions:
        if region.name.lower() == name.lower():
            return region.alias or region.name
    blocks = [*device.arena_blocks(), *device.arena_blocks("external-ram")]
    for block in blocks:
        if block.name.lower() == name.lower():
            return block.name
    there = ", ".join(region.name for region in regions) or "none known"
    raise UsageError(f"{device.id} has no RAM region {name!r} (there are {there})")


def _rooms(device: Device, blocks: Iterable[Block], kept: Mapping[str, int], wanted: Collection[str]) -> list[_Room]:
    """The blocks, most free bytes first.

    A region is cut out of its block when the arena shall lie in it alone, or when the firmware keeps bytes in it that
    the arena could not go around: what is kept in the first or last region of a block lies at the block's border.
    """
    sizes = {region.name: region.bytes for region in device.regions}
    rooms: list[_Room] = []
    for block in blocks:
        names = block.regions
        whole = kept.get(block.name, 0) if len(names) > 1 else 0
        runs: list[list[str]] = [[]]
        for index, name in enumerate(names):
            inner = 0 < index < len(names) - 1
            if len(names) > 1 and (name in wanted or (inner and kept.get(name))):
                runs += [[name], []]
            else:
                runs[-1].append(name)
        for run in filter(None, runs):
            size = block.bytes if len(run) == len(names) else sum(sizes[name] for name in run)
            # What is kept somewhere in a block that is cut may lie in any of its parts.
            rooms.append(_Room("+".join(run), size, whole + sum(kept.get(name, 0) for name in run)))
    return sorted(rooms, key=lambda room: -room.free)


def _distribute(arena: int, stack: int, reserve: int, home: _Room, others: Iterable[_Room]) -> Iterator[RegionUse]:
    used = arena
    elsewhere: list[RegionUse] = []
    for room in others:
        free = max(room.free, 0)
        placed = stack if stack <= free else 0
        stack -= placed
        more = min(reserve, free - placed)
        reserve -= more
        if placed or more or room.kept:
            elsewhere.append(RegionUse(room.name, placed, more + room.kept, room.bytes))
    used += stack
    yield RegionUse(home.name, used, reserve + home.kept, home.bytes)
    yield from elsewhere


def _without_layout(arena: int, stack: int, device: Device) -> tuple[tuple[RegionUse, ...], tuple[Finding, ...]]:
    """Only the total is known, or nothing is: neither shows that the arena fits in one piece."""
    total = device.ram_bytes
    regions = (RegionUse("RAM", arena + stack, device.reserve_bytes, total),) if total else ()
    known = "only its total RAM is" if total else "no RAM size is"
    text = f"{known} known of {device.id}: that the arena fits in one piece is not shown"
    return regions, (Finding("M106", "error", text, "name the largest free block with --ram"),)
