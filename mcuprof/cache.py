"""Results of earlier runs on disk. A hook runs on every commit, and most models did not change since the last one.

A result is found again by everything it depends on: the model's bytes and name, the device, the options, the device
database, and this very build of mcuprof. Losing the cache costs time only; what cannot be read counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from mcuprof.document import Result

MAX_ENTRIES = 1000
# An ONNX file may keep its weights in files beside it; then the file's own bytes do not tell whether they changed.
_REFERS_ELSEWHERE = b"location"


def cache_folder(environment: Mapping[str, str]) -> Path | None:
    """`$XDG_CACHE_HOME/mcuprof` or `~/.cache/mcuprof`; None where there is no home."""
    base = environment.get("XDG_CACHE_HOME", "")
    if Path(base).is_absolute():  # the specification ignores relative ones
        return Path(base) / "mcuprof"
    try:
        return Path.home() / ".cache" / "mcuprof"
    except RuntimeError:
        return None


class Cache:
    """Results in the folder `folder`. `warn` is told, in one line each, of entries that cannot be used."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._build = _build()

    def key(self, model: str, facts: object) -> str | None:
        """The name of the result for the file `model` under `facts` (encodable); None when it cannot be cached."""
        try:
            data = Path(model).read_bytes()
        except (OSError, ValueError):
            return None
        if data[4:8] != b"TFL3" and _REFERS_ELSEWHERE in data:
            return None
        digest = hashlib.sha256(data).hexdigest()
        try:
            return hashlib.sha256(msgspec.json.encode((self._build, digest, model, facts), order="sorted")).hexdigest()
        except (TypeError, UnicodeEncodeError):  # a file name that is no text
            return None

    def get(self, key: str) -> Result | None:
        """The result stored under `key`, or None."""
        path = self._folder / f"{key}.json"
        try:
            check, _, content = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        try:
            if check.decode("ascii") != hashlib.sha256(content).hexdigest():
                raise ValueError("its checksum is wrong")
            return msgspec.json.decode(content, type=Result)
        except (ValueError, RecursionError) as error:
            self._warn(f"cache entry {path} is ignored: {error}")
            with contextlib.suppress(OSError):
                path.unlink()
            return None

    def put(self, key: str, result: Result) -> None:
        """Store `result`: complete under its name or not there. A cache that cannot be written is none."""
        content = msgspec.json.encode(result, order="sorted")
        data = hashlib.sha256(content).hexdigest().encode() + b"\n" + content
        beside = self._folder / f".{key[:16]}.{os.urandom(6).hex()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(data)
            beside.replace(self._folder / f"{key}.json")
            self._trim()
        except OSError:
            pass
        finally:  # also when the process is told to end
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def _trim(self) -> None:
        """Half of the entries, the oldest, when there are too many."""
        with os.scandir(self._folder) as found:
            entries = list(found)
        if len(entries) <= MAX_ENTRIES:
            return
        ages = []
        for entry in entries:
            with contextlib.suppress(OSError):  # another process may trim as well
                ages.append((entry.stat().st_mtime_ns, entry.path))
        for _, path in sorted(ages)[: MAX_ENTRIES // 2]:
            with contextlib.suppress(OSError):
                Path(path).unlink()


def _build() -> str:
    """A name for this mcuprof and its database: versions alone would not tell two checkouts apart."""
    from mcuprof import __version__
    from mcuprof.hardware import database_path, device_db_version

    package = Path(__file__).parent
    digest = hashlib.sha256(f"{__version__} {device_db_version()}".encode())
    for root in sorted({package, database_path()}):
        for folder, folders, files in os.walk(root):
            # The device itself is part of every key.
            folders[:] = sorted(name for name in folders if name not in ("__pycache__", "devices"))
            for name in sorted(files):
                status = (Path(folder) / name).stat()
                digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
