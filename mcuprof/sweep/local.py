"""Rows by processes of this machine. A worker that dies costs the one row it was at; another takes its place."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from mcuprof.sweep.rows import Job, Row, failed
from mcuprof.sweep.worker import Worker


@dataclass(slots=True)
class _Hand:
    """One process, its line, and the position of the job that it is at."""

    process: BaseProcess
    line: Connection
    at: int | None = None


def local(jobs: Sequence[Job], processes: int) -> Iterator[tuple[int, Row, bool]]:
    """(position, row, whether another attempt could give another row) as they are done, in no particular order.

    With one process it is this one, where nothing can be started or can die.
    """
    if processes == 1 or len(jobs) == 1:
        worker = Worker()
        for position, job in enumerate(jobs):
            yield position, worker.row(job), False
        return
    context = multiprocessing.get_context("spawn")
    todo = list(range(len(jobs)))[::-1]
    hands = [_start(context) for _ in range(min(processes, len(jobs)))]
    try:
        for hand in hands:
            _give(hand, todo, jobs)
        while any(hand.at is not None for hand in hands):
            ready = wait([hand.line for hand in hands if hand.at is not None])
            for place, hand in enumerate(hands):
                if hand.line not in ready or hand.at is None:
                    continue
                position = hand.at
                try:
                    yield position, hand.line.recv(), False
                except (EOFError, OSError):  # nobody is at the other end
                    yield position, failed(jobs[position], _cause(hand.process)), True
                    hand.line.close()
                    hands[place] = hand = _start(context)
                hand.at = None
                _give(hand, todo, jobs)
    finally:
        for hand in hands:
            _stop(hand)


def _start(context: multiprocessing.context.SpawnContext) -> _Hand:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    return _Hand(process, ours)


def _serve(line: Connection, parent: int) -> None:
    """The worker process: a row for every job, until the line is closed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    worker = Worker()
    with contextlib.suppress(EOFError, OSError):
        while True:
            line.send(worker.row(line.recv()))


def _give(hand: _Hand, todo: list[int], jobs: Sequence[Job]) -> None:
    """The next job; a worker that died while it had none is found when its answer is waited for."""
    if todo:
        hand.at = todo.pop()
        with contextlib.suppress(OSError):
            hand.line.send(jobs[hand.at])


def _cause(process: BaseProcess) -> str:
    process.join(5)
    code = process.exitcode
    if code is None:
        return "the worker stopped answering"
    return f"the worker was killed by signal {-code}" if code < 0 else f"the worker ended with exit code {code}"


def _stop(hand: _Hand) -> None:
    hand.line.close()
    if hand.at is not None:
        hand.process.terminate()
    hand.process.join(5)
    if hand.process.is_alive():
        hand.process.kill()
