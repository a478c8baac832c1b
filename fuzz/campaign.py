"""Many inputs in few processes, and a ledger of those that broke a promise.

The parent forks a worker, which takes inputs one after the other and notes the number of each before it tries it. A
worker that dies or no longer moves has met a defect: its input is written down and the next worker goes on behind it.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from fuzz import mutate_onnx, mutate_tflite, target
from fuzz.seeds import seeds

STALLED_SECONDS = 60 * target.SECONDS  # by the clock, of a machine that may be busy: what waits for ever ends here
RECYCLE = 20_000  # inputs per worker, so that a leak shows as growth and not as a crash much later
MUTATORS: dict[str, Callable[[bytes, Random], bytes]] = {"tflite": mutate_tflite.mutate, "onnx": mutate_onnx.mutate}
_STATE = struct.Struct("<Qd")  # number of the input being tried, and since when


def make(form: str, seed: int, number: int) -> tuple[bytes, tuple[str, ...]]:
    """Input `number` of the campaign `seed`, and the command it is tried with."""
    random = Random(f"{form}/{seed}/{number}")
    originals = seeds(form)
    # The small seeds take less time and break as well; the others keep their operators in the game.
    original = random.choices(originals, [1 / (2 + place) for place in range(len(originals))])[0]
    return MUTATORS[form](original, random), target.command_for(random)


def run(form: str, seed: int, first: int, count: int, folder: Path) -> Counter[str]:
    """Inputs `first` … `first + count - 1`. Defects go to `folder`, one line and one file each; the tally is returned:
    inputs, defects, and how often each command ended with each exit code.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tally: Counter[str] = Counter()
    number, end, began = first, first + count, time.monotonic()
    while number < end:
        state = mmap.mmap(-1, _STATE.size)
        with tempfile.TemporaryFile() as ledger:
            number = _worker(form, seed, number, min(end, number + RECYCLE), state, ledger.fileno(), folder, tally)
        seconds = time.monotonic() - began
        sys.stderr.write(f"{form}: {number - first:,} of {count:,} in {seconds:.0f} s, {tally['defects']} defects\n")
    return tally


def _worker(
    form: str, seed: int, first: int, end: int, state: mmap.mmap, ledger: int, folder: Path, tally: Counter[str]
) -> int:
    """One worker's life; the number to go on with."""
    _STATE.pack_into(state, 0, first, time.monotonic())
    child = os.fork()
    if child == 0:
        _work(form, seed, first, end, state, ledger)
    ended, status = 0, 0
    while not ended:
        time.sleep(0.05)
        ended, status = os.waitpid(child, os.WNOHANG)
        if not ended and time.monotonic() - _STATE.unpack_from(state, 0)[1] > STALLED_SECONDS:
            os.kill(child, signal.SIGKILL)
    for number, outcome in _entries(ledger):
        tally.update(("inputs", f"{outcome.command} exit {outcome.exit_code}"))
        if outcome.defect is not None:
            tally["defects"] += 1
            _keep(form, seed, number, outcome.defect, folder)
    if status == 0:
        return end
    fatal = int(_STATE.unpack_from(state, 0)[0])
    how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit status {os.WEXITSTATUS(status)}"
    tally.update(("inputs", "defects"))
    _keep(form, seed, fatal, f"the process ended with {how}", folder)
    return fatal + 1


def _entries(ledger: int) -> Iterator[tuple[int, target.Outcome]]:
    os.lseek(ledger, 0, os.SEEK_SET)
    with os.fdopen(os.dup(ledger)) as lines:
        for line in lines:
            number, *outcome = json.loads(line)
            yield number, target.Outcome(*outcome)


def _work(form: str, seed: int, first: int, end: int, state: mmap.mmap, ledger: int) -> None:
    """The child: never returns."""
    status = 1
    try:
        with tempfile.TemporaryDirectory(dir=memory_folder()) as place:
            target.limit_memory()
            path = Path(place) / f"model.{form}"
            for number in range(first, end):
                state[:] = _STATE.pack(number, time.monotonic())  # in one copy: pack_into writes zeros first
                outcome = target.run(*_placed(form, seed, number, path))
                entry = [number, outcome.command, outcome.exit_code, outcome.defect]
                os.write(ledger, json.dumps(entry).encode() + b"\n")
        sys.stderr.write(f"{form}: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at the most\n")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _placed(form: str, seed: int, number: int, path: Path) -> tuple[bytes, Path, tuple[str, ...]]:
    data, command = make(form, seed, number)
    return data, path, command


def memory_folder() -> str | None:
    """A folder in memory where there is one: so many files are no matter for a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _keep(form: str, seed: int, number: int, defect: str, folder: Path) -> None:
    data, command = make(form, seed, number)
    (folder / f"{form}-{seed}-{number}.{form}").write_bytes(data)
    with (folder / f"{form}.tsv").open("a") as file:
        file.write(f"{form}\t{seed}\t{number}\t{' '.join(command)}\t{defect}\n")
