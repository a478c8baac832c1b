"""Ends a command at random moments and looks at what it left: `python -m tests.kills FOLDER OPERATION MOMENTS SEED`.

The command runs in forked children, so that imports do not take most of the moments. Half of them are spread over the
whole command; the others follow within two milliseconds after the child began to write a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import select
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mcuprof.cli import main

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
GRACEFUL = {signal.SIGTERM: 143, signal.SIGINT: 130}
AFTER_WRITE_S = 0.002


class Operation(NamedTuple):
    """A command, how to put everything back to before it, and what must hold after it was ended."""

    arguments: list[str]
    reset: Callable[[], None]
    state: Callable[[], str]  # "old" or "new"; anything else is a defect


def quietly(arguments: list[str]) -> tuple[int, str]:
    """Exit code and stderr of a command in this process."""
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        return main(arguments), errors.getvalue()


def whole_file(target: Path, old: bytes, arguments: list[str]) -> Operation:
    """An operation that replaces the content `old` of `target`."""

    def reset() -> None:
        target.write_bytes(old)

    reset()
    assert quietly(arguments)[0] == 0
    new = target.read_bytes()
    assert new != old

    def state() -> str:
        data = target.read_bytes() if target.exists() else b""
        return {old: "old", new: "new"}.get(data, f"{len(data)} bytes of neither")

    return Operation(arguments, reset, state)


def operation(name: str, folder: Path) -> Operation:
    """One of the three that write."""
    model = folder / "m.tflite"
    shutil.copy(SAMPLES / "digits_int8.tflite", model)
    device = ["-d", "nucleo-l4r5zi"]
    if name == "plan":
        arguments = ["plan", str(model), "-o", str(folder / "out.tflite")]
        return whole_file(folder / "out.tflite", b"what was there before" * 5000, arguments)
    if name == "baseline":
        baseline = folder / "baseline.json"
        other = folder / "other.tflite"
        shutil.copy(SAMPLES / "ds_cnn_int8.tflite", other)
        common = ["baseline", "update", "--baseline", str(baseline), "--no-cache", *device]
        assert quietly([*common, str(other)])[0] == 0
        return whole_file(baseline, baseline.read_bytes(), [*common, str(model)])
    cache = folder / "cache"
    os.environ["XDG_CACHE_HOME"] = str(cache)
    arguments = ["check", str(model), *device]
    assert quietly(arguments)[0] == 0

    def reset() -> None:
        shutil.rmtree(cache)

    def state() -> str:
        entries = list((cache / "mcuprof").glob("*.json")) if cache.exists() else []
        for entry in entries:
            check, _, content = entry.read_bytes().partition(b"\n")
            if check.decode() != hashlib.sha256(content).hexdigest():
                return f"{entry.name} is not whole"
        code, errors = quietly(arguments)
        return ("new" if entries else "old") if (code, errors) == (0, "") else f"the next run: {code} {errors}"

    return Operation(arguments, reset, state)


def child(arguments: list[str], line: int) -> None:
    """Runs the command and never returns; tells on `line` when it is about to write (both writers ask for a name)."""
    name = os.urandom

    def urandom(size: int) -> bytes:
        os.write(line, b"w")
        return name(size)

    os.urandom = urandom
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os._exit(main(arguments))


def ended(arguments: list[str], number: signal.Signals | None, delay: float, after_write: bool) -> int:
    """Exit status of the command, ended by signal `number` after `delay` seconds."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        child(arguments, theirs)
    os.close(theirs)
    if after_write:
        select.select([ours], [], [], 30)
    time.sleep(delay)
    if number is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    status = os.waitpid(pid, 0)[1]
    os.close(ours)
    return os.waitstatus_to_exitcode(status)


def run(folder: Path, name: str, moments: int, seed: int) -> dict[str, object]:
    """Counts of what was left and of exit codes, and every defect."""
    chance = random.Random(seed)
    what = operation(name, folder)
    spent = []
    for _ in range(3):
        what.reset()
        start = time.monotonic()
        assert ended(what.arguments, None, 0.0, False) == 0
        spent.append(time.monotonic() - start)
    left: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    defects = []
    for moment in range(moments):
        what.reset()
        before = {path for path in folder.rglob(".*") if path.is_file()}  # they stay: the next run must do with them
        number = SIGNALS[moment % len(SIGNALS)]
        after_write = moment % 2 == 1
        delay = chance.uniform(0, AFTER_WRITE_S if after_write else sorted(spent)[1])
        code = ended(what.arguments, number, delay, after_write)
        found = what.state()
        partial = {path for path in folder.rglob(".*") if path.is_file()}
        if partial - before:  # of SIGKILL, which nobody can handle; of the others where they came between two lines
            left[f"partial file after {number.name}"] += 1
        left[found] += 1
        codes[code] += 1
        # -SIGTERM, -SIGINT: before the command had begun. 0: it was done.
        if found not in ("old", "new") or code not in (0, -number, GRACEFUL.get(number, 0)):
            defects.append(f"moment {moment}, {number.name} after {delay:.6f} s: exit {code}, {found}")
    what.reset()
    again = quietly(what.arguments)
    if again != (0, ""):
        defects.append(f"the run after all that: {again}")
    return {"left": left, "codes": codes, "defects": defects}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
