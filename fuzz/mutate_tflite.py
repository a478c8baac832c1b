"""Structure-aware mutation of .tflite files: most changes hit a number that means something, some hit any byte."""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from random import Random

from fuzz.sites import Site, sites

_SMALL = (0, 1, 2, 3, 4, 5, 7, 8, 16, 255, 256)
_HUGE = (0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_SCALES = (0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 1e-45, 1e-38, 1e-10, 1.0, 3e38)
_ZEROS = (0, 1, -1, 127, 128, -128, -129, 255, 256, 2**31, 2**63 - 1, -(2**63))
_TYPES = 24
_CODES = 215


def mutate(seed: bytes, random: Random) -> bytes:
    """`seed` with one to six changes."""
    data = bytearray(seed)
    places = _sites(seed)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 6))):
        way = random.random()
        if way < 0.85:
            _change(data, _place(places, random), random)
        elif way < 0.93 and data:
            data[random.randrange(len(data))] = random.randrange(256)
        elif way < 0.96:
            del data[random.randrange(len(data) + 1) :]
        elif way < 0.98:
            start, length = random.randrange(len(data) + 1), random.choice((1, 4, 8, 64))
            del data[start : start + length]
        else:
            start = random.randrange(len(data) + 1)
            data[start:start] = random.randbytes(random.choice((1, 4, 8, 64)))
    return bytes(data)


@lru_cache(maxsize=24)
def _sites(seed: bytes) -> dict[str, tuple[Site, ...]]:
    found: dict[str, list[Site]] = {}
    for site in sites(seed):
        found.setdefault(site.kind, []).append(site)
    return {kind: tuple(places) for kind, places in found.items()}


def _place(places: dict[str, tuple[Site, ...]], random: Random) -> Site:
    """Every kind as often as every other, but offsets (of which most end in a refusal) more seldom."""
    kinds = [kind for kind in places for _ in range(1 if kind in ("offset", "vtable") else 3)]
    return random.choice(places[random.choice(kinds)])


def _change(data: bytearray, site: Site, random: Random) -> None:
    size = struct.calcsize(f"<{site.form}")
    if site.at + size > len(data):
        return
    if site.form == "f":
        (old,) = struct.unpack_from("<f", data, site.at)
        value = random.choice((*_SCALES, old * 2 if math.isfinite(old) and abs(old) < 1e38 else 1.0))
        struct.pack_into("<f", data, site.at, value)
        return
    old = int.from_bytes(data[site.at : site.at + size], "little")
    number = _number(site.kind, old, random) % (1 << 8 * size)
    data[site.at : site.at + size] = number.to_bytes(size, "little")


def _number(kind: str, old: int, random: Random) -> int:
    if kind == "type":
        return random.randrange(_TYPES)
    if kind in ("code", "code32"):
        return random.randrange(_CODES)
    if kind == "zero":
        return random.choice(_ZEROS)
    if kind == "union":
        return random.randrange(130)
    near = (old + 1, old - 1, old * 2, old // 2, -1, -2)
    return random.choice((random.choice(_SMALL), random.choice(near), random.choice(near), random.choice(_HUGE)))
