"""Is `device_db/`, or a file that a user wrote, as it should be? Reports all problems, not only the first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mcuprof.errors import DeviceError
from mcuprof.hardware.database import database_path, load_npu_systems
from mcuprof.hardware.device import Core
from mcuprof.hardware.files import (
    AcceleratorFile,
    CoreFile,
    DeviceFile,
    FileError,
    Problem,
    Source,
    clock_hertz,
    given_keys,
    read,
)
from mcuprof.hardware.index import claims, index_text, version_text
from mcuprof.hardware.names import normalize
from mcuprof.hardware.parts import read_parts, regions_of
from mcuprof.hardware.resolve import check, device_of, unit_problem

_NOT_FACTS = {
    "name",
    "vendor",
    "part",
    "boards",
    "aliases",
    "runtime",
    "kernels",
    "notes",
    "sources",
    "doubts",
    "calibration",
}
_REBUILD = "is out of step with the files; run `python -m mcuprof.hardware`"


def validate(path: Path | None = None, root: Path | None = None) -> list[Problem]:
    """Problems of the device file at `path`, or of the whole database without one; empty when all is well.

    `root` is the database to check and to find cores in, the shipped one by default.
    """
    root = root or database_path()
    if path is not None:
        return _device_problems(path, root)[1]
    found: list[Problem] = []
    devices: dict[str, DeviceFile] = {}
    for each in sorted((root / "devices").glob("*.toml")):
        file, problems = _device_problems(each, root)
        found += problems
        if file is not None:
            devices[each.stem] = file
    for each in sorted((root / "cores").glob("*.toml")):
        found += _record_problems(each, CoreFile)
    for each in sorted((root / "accelerators").glob("*.toml")):
        found += _record_problems(each, AcceleratorFile)
    return found + _name_problems(devices, root) + _part_problems(root) + _made_problems(devices, root)


def _device_problems(path: Path, root: Path) -> tuple[DeviceFile | None, list[Problem]]:
    try:
        file, source = read(path, DeviceFile)
    except FileError as error:
        return None, [error.problem]
    found = check(file, source)
    for kind, names in (("cores", file.cores), ("accelerators", file.accelerators)):
        for name in names:
            own = kind == "accelerators" and name.endswith(".toml")
            if not ((path.parent / name) if own else (root / kind / f"{name}.toml")).is_file():
                found.append(source.problem(kind, f"there is no file {kind}/{name}.toml"))
    if file.npu is not None:
        known = load_npu_systems()
        for part, given, there in (
            ("system", file.npu.system, tuple(known.systems)),
            ("mode", file.npu.mode, tuple(known.modes)),
        ):
            if given is not None and given not in there:
                found.append(source.problem(f"npu.{part}", f"there is no {given!r} (there are {', '.join(there)})"))
    if not found:
        device = device_of(path.stem, file, source, lambda core_id: Core(id=core_id, name=core_id, isa=""))
        largest = max((block.bytes for block in device.arena_blocks()), default=0)
        if device.ram_total_bytes is not None and device.ram_total_bytes < largest:
            found.append(source.problem("ram_total", "is less than the largest block of RAM"))
    return file, found + _fact_problems(file, source)


def _record_problems(path: Path, record: type[CoreFile] | type[AcceleratorFile]) -> list[Problem]:
    try:
        file, source = read(path, record)
    except FileError as error:
        return [error.problem]
    found = _fact_problems(file, source)
    if isinstance(file, AcceleratorFile) and file.clock is not None:
        found += unit_problem(source, "clock", file.clock, clock_hertz)
    return found


def _fact_problems(file: DeviceFile | CoreFile | AcceleratorFile, source: Source) -> list[Problem]:
    """Every fact has a source, and sources and doubts speak of keys that exist."""
    given = given_keys(file)
    regions = {f"regions.{entry.name}" for entry in file.regions} if isinstance(file, DeviceFile) else set()
    found = [
        source.problem(key, "has no entry in [sources]")
        for key in sorted(given - _NOT_FACTS)
        if key not in file.sources
    ]
    for key, text in file.sources.items():
        if key not in given | regions:
            found.append(source.problem(f"sources.{key}", "speaks of a key that is not there"))
        elif not text.strip():
            found.append(source.problem(f"sources.{key}", "is empty"))
    known = regions | set(type(file).__struct_fields__)
    found += [source.problem(f"doubts.{key}", "speaks of an unknown key") for key in file.doubts if key not in known]
    return found


def _name_problems(devices: Mapping[str, DeviceFile], root: Path) -> list[Problem]:
    found = []
    for names in claims(devices).values():
        for name in names[1:]:
            path = root / "devices" / f"{name.id}.toml"
            found.append(Problem(path, "boards", f"{name.shown!r} already names {names[0].id}"))
    return found


def _part_problems(root: Path) -> list[Problem]:
    path, seen, found = root / "parts.csv", set[str](), []
    cores = {each.stem for each in (root / "cores").glob("*.toml")}
    for line, row in enumerate(read_parts(path), 2):
        key = normalize(row["part"])
        if key in seen:
            found.append(Problem(path, "part", f"{row['part']!r} stands twice", line))
        seen.add(key)
        for core in filter(None, row["cores"].split("+")):
            if core not in cores:
                found.append(Problem(path, "cores", f"there is no file cores/{core}.toml", line))
        if not row["source"]:
            found.append(Problem(path, "source", "is empty", line))
        try:
            regions_of(row["ram"], "ram"), regions_of(row["flash"], "flash")
        except DeviceError as error:
            found.append(Problem(path, "ram", str(error), line))
    return found


def _made_problems(devices: Mapping[str, DeviceFile], root: Path) -> list[Problem]:
    made = {"index.csv": index_text(devices), "VERSION": version_text(root)}
    return [
        Problem(root / name, "", _REBUILD)
        for name, text in made.items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text
    ]
