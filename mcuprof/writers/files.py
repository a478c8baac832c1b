"""A file is complete under its name or not there: written beside it, forced to the disk, renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from mcuprof.errors import UsageError


def replace_file(name: str | Path, data: bytes) -> None:
    """Write `data` under `name`. Raises UsageError when it cannot be done; what was there before is then untouched."""
    try:
        target = Path(os.path.realpath(name))
        if target.exists() and not target.is_file():
            raise UsageError(f"cannot write {name}: not a regular file")
        replace(target, data)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write {name}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None


def same_file(name: str | Path, other: str | Path) -> bool:
    """True when both names reach one file, through links too."""
    try:
        return Path(name).samefile(other)
    except (OSError, ValueError):
        return False


def replace(target: Path, data: bytes) -> None:
    """Write `data` beside `target`, force it to the disk, rename it. Raises OSError and leaves nothing behind."""
    beside = target.with_name(f".{target.name[:200]}.{os.urandom(6).hex()}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
