"""Rows that are done, on disk as they come: a sweep that was killed goes on where it was.

One JSON line per row, with the key of its job, in the file `OUT.partial` beside the table. It goes when the table is
complete. A line that was cut in the middle of a write is as if it had not been written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from mcuprof.errors import UsageError
from mcuprof.sweep.rows import Row


class _Line(msgspec.Struct, frozen=True):
    key: str
    row: Row


class Journal:
    """The journal at `path`, created on entry; only one process may have it. Raises UsageError when it cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Journal:
        try:
            self._file = self._path.open("a+b")
            self._lock(self._file)
        except OSError as error:
            raise UsageError(f"cannot write {self._path}: {(error.strerror or str(error)).lower()}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def rows(self, keys: Iterable[str]) -> dict[str, Row]:
        """The rows that are there of the jobs with these keys."""
        assert self._file is not None
        wanted = set(keys)
        self._file.seek(0)
        found: dict[str, Row] = {}
        whole = 0
        for text in self._file:
            if not text.endswith(b"\n"):
                break
            whole += len(text)
            with contextlib.suppress(ValueError):  # not a line of ours, or of another version
                line = msgspec.json.decode(text, type=_Line)
                if line.key in wanted:
                    found[line.key] = line.row
        self._file.truncate(whole)
        return found

    def add(self, key: str, row: Row) -> None:
        """Write one row, at once. Raises UsageError when the disk is full."""
        assert self._file is not None
        try:
            self._file.write(msgspec.json.encode(_Line(key, row)) + b"\n")
            self._file.flush()
        except OSError as error:
            raise UsageError(f"cannot write {self._path}: {(error.strerror or str(error)).lower()}") from None

    def remove(self) -> None:
        """The table is complete."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _lock(self, file: IO[bytes]) -> None:
        if os.name != "posix":
            return
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another sweep is writing {self._path}") from None
