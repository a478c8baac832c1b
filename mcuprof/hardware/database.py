"""`device_db/` as a whole: where it lies, and what is loaded from it by name."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from mcuprof.errors import DeviceError, UsageError
from mcuprof.hardware.device import Accelerator, Core, Device
from mcuprof.hardware.files import AcceleratorFile, CoreFile, DeviceFile, FileError, clock_hertz, read
from mcuprof.hardware.names import nearest, normalize, read_index
from mcuprof.hardware.npu import NpuSystems
from mcuprof.hardware.parts import device_of_part, find_part, read_parts
from mcuprof.hardware.resolve import default_kernels, device_of


def database_path() -> Path:
    """The folder `device_db/`: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "device_db"
    return inside if inside.is_dir() else package.parent / "device_db"


def device_db_version() -> str:
    """A name for the content of the database: twelve hex digits, equal for equal content."""
    return (database_path() / "VERSION").read_text(encoding="ascii").strip()


def load_core(core_id: str) -> Core:
    """A core of `cores/` by id. Raises DeviceError when there is none, or its file breaks the schema."""
    file, _ = read(_file("cores", core_id), CoreFile)
    return Core(id=core_id, **msgspec.structs.asdict(file))


def load_accelerator(accelerator_id: str) -> Accelerator:
    """An accelerator of `accelerators/` by id, or the user's own by its file's path. Raises as `load_core` does."""
    own = accelerator_id.endswith(".toml")
    path = Path(accelerator_id) if own else _file("accelerators", accelerator_id)
    file, source = read(path, AcceleratorFile)
    facts = msgspec.structs.asdict(file)
    clock = facts.pop("clock")
    try:
        if file.array is not None:
            clock_hertz(file.array.clock)
        return Accelerator(id=path.stem, clock_hz=clock_hertz(clock) if clock else None, **facts)
    except UsageError as error:
        raise FileError(source.problem("clock", str(error))) from None


@functools.cache
def load_npu_systems() -> NpuSystems:
    """Systems and memory modes around an Ethos-U, of `npu/systems.toml`. Raises DeviceError as `load_core` does."""
    return read(database_path() / "npu" / "systems.toml", NpuSystems)[0]


def load_device(name: str, clock_hz: int | None = None) -> Device:
    """The device called `name`, at `clock_hz` instead of its fastest clock where one is given.

    A name is an id, a board, an alias, a part number or order code (case, spaces, dashes and underscores do not
    matter), or the path of a device file of the user's own. `id:core` looks at the device from another of its cores.
    Raises DeviceError: nothing has that name (the nearest ones are told), or the file breaks the schema.
    """
    device = _load(name)
    return device if clock_hz is None else msgspec.structs.replace(device, clock_hz=clock_hz)


def find_id(name: str) -> str | None:
    """The id of the device file that `name` leads to (id, board, alias or part), or None."""
    if re.fullmatch(r"[a-z0-9-]+", name.lower()) and (_folder("devices") / f"{name.lower()}.toml").is_file():
        return name.lower()
    entry = read_index(database_path() / "index.csv").get(normalize(name))
    return entry.id if entry else None


def list_devices(
    vendor: str | None = None,
    core: str | None = None,
    min_ram_bytes: int | None = None,
    accelerator: str | None = None,
) -> list[Device]:
    """All devices with a file, by id. Filters: part of the vendor's name, of a core's id, of an accelerator's id;
    on-chip RAM of at least `min_ram_bytes` (a device whose RAM is not known has none).
    """
    cached = functools.cache(load_core)
    devices = []
    for path in sorted(_folder("devices").glob("*.toml")):
        file, source = read(path, DeviceFile)
        devices.append(device_of(path.stem, file, source, cached))
    wanted = _filter(vendor, core, min_ram_bytes, accelerator)
    return [device for device in devices if wanted(device)]


def list_parts(
    vendor: str | None = None,
    core: str | None = None,
    min_ram_bytes: int | None = None,
    accelerator: str | None = None,
) -> list[Device]:
    """All parts of `parts.csv` that no device file describes, in the table's order; filters as in `list_devices`."""
    cached = functools.cache(load_core)
    wanted = _filter(vendor, core, min_ram_bytes, accelerator)
    described = read_index(database_path() / "index.csv").keys()
    rows = (row for row in read_parts(database_path() / "parts.csv") if normalize(row["part"]) not in described)
    return [device for device in (device_of_part(row, cached) for row in rows) if wanted(device)]


def _filter(
    vendor: str | None, core: str | None, min_ram_bytes: int | None, accelerator: str | None
) -> Callable[[Device], bool]:
    def wanted(device: Device) -> bool:
        return (
            (vendor is None or vendor.lower() in device.vendor.lower())
            and (core is None or any(core.lower() in each for each in device.cores))
            and (min_ram_bytes is None or (device.ram_bytes or 0) >= min_ram_bytes)
            and (accelerator is None or any(accelerator.lower() in each for each in device.accelerators))
        )

    return wanted


def is_device_path(name: str) -> bool:
    """Whether `name` means a file of the user's own, not a device of the database."""
    return name.endswith(".toml") or "/" in name or "\\" in name


def _load(name: str) -> Device:
    if is_device_path(name):
        path = Path(name)
        return device_of(path.stem, *read(path, DeviceFile), load_core)
    if (device := _named(name, None)) is not None:
        return device
    wanted, colon, core = name.rpartition(":")
    if colon and (device := _named(wanted, core)) is not None:
        return device
    raise DeviceError(_unknown(name))


def _named(name: str, core: str | None) -> Device | None:
    """The device file or, failing that, the part of that name, seen from `core`; None when there is neither."""
    if (identifier := find_id(name)) is not None:
        return _load_file(identifier, core)
    row = find_part(name, database_path() / "parts.csv")
    if row is None:
        return None
    if (identifier := find_id(row["part"])) is not None:
        return _load_file(identifier, core)
    device = device_of_part(row, load_core)
    if core is None or (selected := _select_core(device.name, device.cores, core)) == device.core.id:
        return device
    other = load_core(selected)
    return msgspec.structs.replace(device, core=other, kernels=default_kernels(device.vendor, other.id))


def _load_file(identifier: str, core: str | None) -> Device:
    file, source = read(_folder("devices") / f"{identifier}.toml", DeviceFile)
    selected = _select_core(identifier, file.cores, core) if core is not None else None
    return device_of(identifier, file, source, load_core, selected)


def _select_core(device: str, cores: tuple[str, ...], wanted: str) -> str:
    for core in cores:
        if normalize(core).endswith(normalize(wanted)) and normalize(wanted):
            return core
    raise DeviceError(f"{device} has no core {wanted!r}; it has {', '.join(dict.fromkeys(cores)) or 'none known'}")


def _unknown(name: str) -> str:
    near = nearest(name, (entry.shown for entry in read_index(database_path() / "index.csv").values()))
    near = near or nearest(name, (row["part"] for row in read_parts(database_path() / "parts.csv")))
    hint = f"; nearest: {', '.join(near)}" if near else ""
    return f"unknown device {name!r}{hint} (`mcuprof devices list` shows all)"


def _folder(kind: str) -> Path:
    return database_path() / kind


def _file(kind: str, identifier: str) -> Path:
    path = _folder(kind) / f"{identifier}.toml"
    if re.fullmatch(r"[a-z0-9-]+", identifier) and path.is_file():
        return path
    near = nearest(identifier, (each.stem for each in _folder(kind).glob("*.toml")))
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise DeviceError(f"unknown {kind.removesuffix('s')} {identifier!r}{hint}")
