"""Placing an arena by the config's wishes. Sizes in KiB are chosen so that every case can be checked by head."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcuprof.document import RegionUse
from mcuprof.errors import UsageError
from mcuprof.hardware import Device, Region, load_device
from mcuprof.regions import place

BASE = msgspec.structs.replace(load_device("nrf52840"), id="board", reserve_bytes=0)
# A and B and C touch; D is alone; X is external.
REGIONS = (
    Region("A", "ram", 100, 0x1000),
    Region("B", "ram", 50, 0x1064),
    Region("C", "ram", 30, 0x1096),
    Region("D", "ram", 120, 0x9000),
    Region("D2", "ram", 120, 0xA000, alias="D"),
    Region("X", "external-ram", 1000, 0xF000),
)


def board(*regions: Region, reserve: int = 0) -> Device:
    return msgspec.structs.replace(BASE, regions=regions or REGIONS, reserve_bytes=reserve, ram_total_bytes=None)


def over(uses: tuple[RegionUse, ...]) -> bool:
    return any(use.used_bytes + use.reserved_bytes > use.capacity_bytes for use in uses)


def test_without_wishes_the_largest_block() -> None:
    uses, found = place(150, 10, board())
    assert uses == (RegionUse("A+B+C", 150, 0, 180), RegionUse("D", 10, 0, 120)) and found == ()


def test_what_is_kept_at_the_border_leaves_the_block_whole() -> None:
    uses, _ = place(140, 0, board(), {"A": 40})
    assert uses == (RegionUse("A+B+C", 140, 40, 180),) and not over(uses)
    assert over(place(141, 0, board(*REGIONS[:5]), {"A": 40})[0])


def test_what_is_kept_in_the_middle_cuts_the_block() -> None:
    """60 B in B leave A alone with 100 B in one piece: the arena goes to D, and what needs more goes outside."""
    uses, found = place(110, 0, board(), {"B": 20})
    assert uses[0] == RegionUse("D", 110, 0, 120) and RegionUse("B", 0, 20, 50) in uses and found == ()
    uses, found = place(121, 0, board(), {"B": 20})
    assert uses[0].name == "X" and [finding.code for finding in found] == ["M108"]


def test_an_alias_counts_to_what_it_shows() -> None:
    uses, _ = place(10, 0, board(), {"d2": 100}, ("D",))
    assert uses[0] == RegionUse("D", 10, 100, 120)


def test_the_first_wanted_region_with_room() -> None:
    assert place(90, 0, board(), {}, ("A", "D"))[0][0] == RegionUse("A", 90, 0, 100)
    assert place(110, 0, board(), {}, ("A", "D"))[0][0] == RegionUse("D", 110, 0, 120)
    uses, _ = place(150, 0, board(), {}, ("A", "D"))  # nowhere: what is lacking is shown, not hidden outside
    assert uses[0] == RegionUse("D", 150, 0, 120) and over(uses)
    assert place(150, 0, board(), {}, ("A+B+C",))[0][0] == RegionUse("A+B+C", 150, 0, 180)


def test_outside_only_when_wanted_there() -> None:
    uses, found = place(50, 5, board(), {}, ("X",))
    assert uses[0] == RegionUse("X", 50, 0, 1000) and [finding.code for finding in found] == ["M108"]
    assert uses[1].used_bytes == 5


@pytest.mark.parametrize(("reserve", "wanted"), [({"Q": 1}, ()), ({}, ("Q",)), ({"flash": 1}, ())])
def test_a_region_that_is_not_there(reserve: dict[str, int], wanted: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"board has no RAM region '(Q|flash)' \(there are A, B, C, D, D2, X\)"):
        place(1, 0, board(), reserve, wanted)


def test_without_a_device_or_layout() -> None:
    assert place(1, 0, None) == ((), ())
    with pytest.raises(UsageError, match="add -d DEVICE"):
        place(1, 0, None, {}, ("DTCM",))
    device = msgspec.structs.replace(BASE, regions=(), ram_total_bytes=1000)
    uses, (finding,) = place(1, 2, device)
    assert uses == (RegionUse("RAM", 3, 0, 1000),) and (finding.code, finding.severity) == ("M106", "error")


def longest_gap(size: int, kept: list[tuple[int, int]]) -> int:
    """The most bytes in one piece of `size`, none of them in one of the half-open intervals `kept`."""
    blocked = set(itertools.chain.from_iterable(range(first, last) for first, last in kept))
    runs = [len(list(run)) for free, run in itertools.groupby(range(size), lambda byte: byte not in blocked) if free]
    return max(runs, default=0)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.lists(st.integers(0, 40), min_size=4, max_size=4),
    st.integers(1, 160),
)
def test_no_arena_is_said_to_fit_that_does_not(sizes: list[int], kept: list[int], arena: int) -> None:
    """Brute force over touching regions: if it fits, some layout of what is kept leaves so many bytes in one piece."""
    starts = list(itertools.accumulate(sizes, initial=0))
    regions = tuple(Region(f"R{i}", "ram", size, 0x1000 + starts[i]) for i, size in enumerate(sizes))
    reserve = {f"R{i}": min(kept[i], size) for i, size in enumerate(sizes) if kept[i]}
    uses, _ = place(arena, 0, board(*regions), reserve)
    if over(uses):
        return
    # What is kept in a region lies at one of its ends.
    ends = [
        [(starts[i], starts[i] + count), (starts[i + 1] - count, starts[i + 1])]
        for i in range(len(sizes))
        if (count := reserve.get(f"R{i}", 0))
    ]
    assert any(longest_gap(starts[-1], list(choice)) >= arena for choice in itertools.product(*ends))
