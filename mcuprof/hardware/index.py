"""The two files of `device_db/` that are made from the others: `index.csv` and `VERSION`.

Run `python -m mcuprof.hardware` in a checkout after any change in `device_db/`; a test fails until then.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mcuprof.hardware.files import DeviceFile, read
from mcuprof.hardware.names import Name, normalize

_HASHED = {".toml", ".csv", ".json", ".jsonl"}


def read_devices(root: Path) -> Mapping[str, DeviceFile]:
    """All device files by id. Raises DeviceError at the first that breaks the schema."""
    return {path.stem: read(path, DeviceFile)[0] for path in sorted((root / "devices").glob("*.toml"))}


def claims(devices: Mapping[str, DeviceFile]) -> Mapping[str, list[Name]]:
    """Normalized name → the devices that claim it as id, board or alias; more than one is a mistake in the files."""
    found: dict[str, list[Name]] = defaultdict(list)
    for identifier, file in devices.items():
        for shown in (identifier, *file.boards, *file.aliases):
            known = found[normalize(shown)]
            if all(name.id != identifier for name in known):
                known.append(Name(identifier, shown))
    return found


def index_text(devices: Mapping[str, DeviceFile]) -> str:
    """The content of `index.csv`. A part that several boards carry leads to the device that claims its name, if any."""
    index = {key: names[0] for key, names in claims(devices).items()}
    parts: dict[str, list[Name]] = defaultdict(list)
    for identifier, file in devices.items():
        parts[normalize(file.part)].append(Name(identifier, file.part))
    index |= {key: names[0] for key, names in parts.items() if len(names) == 1 and key not in index}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("key", "id", "shown"))
    writer.writerows((key, name.id, name.shown) for key, name in sorted(index.items()))
    return text.getvalue()


def version_text(root: Path) -> str:
    """The content of `VERSION`: a hash over the names and lines of all data files, whatever their line ends."""
    digest = hashlib.sha256()
    files = (path for path in root.rglob("*") if path.suffix in _HASHED and path != root / "index.csv")
    for path in sorted(files, key=lambda path: path.relative_to(root).as_posix()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12] + "\n"


def write(root: Path) -> None:
    """Rewrite `index.csv` and `VERSION` of the database at `root`."""
    (root / "index.csv").write_bytes(index_text(read_devices(root)).encode())
    (root / "VERSION").write_bytes(version_text(root).encode())
