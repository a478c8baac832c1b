"""One hostile file, treated as a user would treat it, and what the command line may do about it.

The promise: a report (exit code 0 or 1), or no result and one line on stderr with exit code 3; no traceback, no
internal error, within `SECONDS` of CPU time (a busy machine must not look like a hang) and `BYTES` of address space.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import resource
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

SECONDS = 10
BYTES = 1 << 30

# How often each command is tried, per thousand inputs; all of them read and analyse.
_COMMANDS = (
    (840, ("check", "-d", "nucleo-l4r5zi", "--no-cache")),
    (60, ("analyze", "-d", "nucleo-l4r5zi", "--no-cache", "--time-limit", "1s", "-f", "json")),
    (40, ("ops",)),
    (30, ("check", "--no-cache", "--ram", "96K", "-f", "sarif")),
    (15, ("plan", "--assume-kernels", "cmsis-nn")),
    (10, ("verify",)),
    (5, ("fit",)),
)
_TOLD = re.compile(r"mcuprof: error: [^\n]+\n")


class TookTooLong(BaseException):
    """Raised by the alarm; no `except Exception` on the way may hold it up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one input ended; `defect` is None for a promise that was kept, else which was broken and where."""

    command: str
    exit_code: int
    defect: str | None


def limit_memory() -> None:
    """No allocation beyond `BYTES` of address space from here on, in this process and its children."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))


def command_for(random: Random) -> tuple[str, ...]:
    """One of the commands, in the proportions above."""
    return random.choices([words for _, words in _COMMANDS], [weight for weight, _ in _COMMANDS])[0]


def run(data: bytes, path: Path, command: tuple[str, ...]) -> Outcome:
    """Write `data` to `path`, run `command` on it in this process, judge how it ended."""
    from mcuprof.cli import main

    path.write_bytes(data)
    out, err = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([command[0], str(path), *command[1:], "--debug"])
    except TookTooLong as slow:
        return Outcome(command[0], -1, f"took more than {SECONDS} s at {_place(slow)}")
    except BaseException as error:  # main promises never to raise
        return Outcome(command[0], -1, f"main raised {type(error).__name__} at {_place(error)}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return Outcome(command[0], code, _judged(command[0], code, out.getvalue(), err.getvalue()))


def _judged(command: str, code: int, out: str, err: str) -> str | None:
    if code == 4:
        return f"internal error: {_last_frame(err)}"
    if code in (0, 1):
        return None if out else f"exit code {code} without a report"
    told = err.split("Traceback (most recent call last)")[0]
    if code == 3 or (code == 2 and command in ("plan", "verify")):
        well = _TOLD.fullmatch(told) and (not out or _empty_document(out))
        return None if well else f"exit code {code} with other words: {told[:200]!r} {out[:80]!r}"
    return f"exit code {code}: {told[:200]!r}"


def _empty_document(out: str) -> bool:
    """The formats for machines say that there are no results, so that whoever waits for a document gets one."""
    try:
        document = json.loads(out)
    except ValueError:
        return False
    return not document.get("results", document.get("runs", [{}])[0].get("results"))


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TookTooLong


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "mcuprof" in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[::-1][:4])


def _last_frame(err: str) -> str:
    """The message, and the last frames of mcuprof's own in the traceback that --debug printed."""
    message = err.splitlines()[0] if err else ""
    frames = re.findall(r'File "[^"]*/(\w+/\w+\.py)", line (\d+)', err)
    return f"{message[:160]} at {' < '.join(f'{name}:{line}' for name, line in frames[::-1][:3])}"
