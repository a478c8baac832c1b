"""CMSIS-Pack descriptions (.pdsc): the <memory> elements of one device.

Memories are inherited from <family> and <subFamily>. `IRAM1` and `IROM1` as ids are the old form, `name` and `access`
the new one.
Reference: Open-CMSIS-Pack specification, "/package/devices level".
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from mcuprof.errors import DeviceError
from mcuprof.hardware.files import FileError, Problem
from mcuprof.hardware.firmware.regions import MAX_BYTES, Declared
from mcuprof.hardware.names import nearest, normalize


def is_pack(text: str) -> bool:
    """Whether the text is a pack description."""
    return "<package" in text and "<devices" in text


def regions(text: str, path: Path, part: str | None) -> list[Declared]:
    """The memories of `part` (not needed where the pack has one device). Raises DeviceError with the reason."""
    if "<!ENTITY" in text:
        raise DeviceError(f"{path}: XML entities are not read")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise FileError(Problem(path, "", f"is not XML: {error.msg.split(':')[0]}", error.position[0])) from None
    devices = {
        name: (family, sub, device)
        for family in root.iter("family")
        for sub in (None, *family.findall("subFamily"))
        for device in (family if sub is None else sub).findall("device")
        if (name := device.get("Dname"))
    }
    name = _choice(part, list(devices), path)
    found: dict[str, Declared] = {}
    for level in devices[name]:
        for memory in level.findall("memory") if level is not None else ():
            region = _region(memory, path)
            found[region.name] = region
    if not found:
        raise DeviceError(f"{path}: {name} has no memory elements")
    return list(found.values())


def _choice(part: str | None, names: list[str], path: Path) -> str:
    if part is None and len(names) == 1:
        return names[0]
    chosen = next((name for name in names if part is not None and normalize(name) == normalize(part)), None)
    if chosen is None:
        near = ", ".join(nearest(part, names) if part else names[:3])
        raise DeviceError(
            f"{path}: describes {len(names)} devices: choose one with --name{f', such as {near}' * bool(near)}"
        )
    return chosen


def _region(memory: ElementTree.Element, path: Path) -> Declared:
    name = memory.get("name") or memory.get("id") or ""
    values = []
    for key in ("start", "size"):
        text = memory.get(key) or ""
        try:
            values.append(int(text, 0))
        except ValueError:
            raise DeviceError(f"{path}: memory {name!r}: {key} is not a number: {text[:40]!r}") from None
    address, size = values
    if not name or not (0 <= address < MAX_BYTES and 0 < size <= MAX_BYTES):
        raise DeviceError(f"{path}: memory {name!r}: {size} bytes at {address:#x} are not in 32 bits")
    access = memory.get("access") or ("rx" if name.upper().startswith("IROM") else "rwx")
    return Declared(name, access, address, size, 0)
