"""The same model gives the same bytes, however fast or busy the machine is: a clock that runs wild changes nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.memory import Limit, place
from mcuprof.readers import read
from mcuprof.writers.tflite import first_operators

RESNET = str(Path(__file__).parents[2] / "samples" / "resnet8_int8.tflite")
INCEPTION = str(Path(__file__).parents[2] / "samples" / "inception_int8.tflite")
CLOCKS = ("monotonic", "perf_counter", "process_time", "thread_time", "time")
COMMANDS = {
    "check": ["check", INCEPTION, "--order", "optimal", "--in-place", "overlap", "--no-cache", "-f", "json"],
    "analyze": ["analyze", "start.tflite", "-d", "stm32h743zi", "--split", "--no-cache", "-f", "json"],
    "plan": ["plan", "start.tflite", "-o", "out.tflite"],
    "split": ["plan", "start.tflite", "-o", "out.tflite", "--split", "--max-work", "20%"],
}


def wild(step: float) -> Callable[[pytest.MonkeyPatch], None]:
    """Clocks that go on by `step` seconds at every look."""

    def patch(patched: pytest.MonkeyPatch) -> None:
        for name in CLOCKS:
            ticks = count()
            patched.setattr(time, name, lambda ticks=ticks: step * next(ticks))
            patched.setattr(time, f"{name}_ns", lambda ticks=ticks: int(step * 1e9) * next(ticks))

    return patch


@pytest.mark.parametrize("command", COMMANDS)
def test_no_clock_decides(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Stopped clocks, and clocks that pass any deadline at the second look."""
    monkeypatch.chdir(tmp_path)
    data = Path(RESNET).read_bytes()  # its first operators: a split that takes a local search, within a second
    Path("start.tflite").write_bytes(first_operators(data, 6, read(RESNET).ops[5].outputs[0]))
    found = []
    for step in (None, 0.0, 1e4):
        with monkeypatch.context() as patched:
            if step is not None:
                wild(step)(patched)
            assert main(COMMANDS[command]) == 0
        file = Path("out.tflite")
        found.append((capsysbinary.readouterr().out, file.read_bytes() if file.exists() else b""))
    assert found[1:] == found[:1] * 2
    assert found[0][0]


def hard() -> list[tuple[int, int, int]]:
    """A rectangle of moments and bytes cut into a hundred pieces: it can be put together again, which takes long."""
    rng = random.Random(0)

    def cut(first: int, end: int, low: int, high: int, pieces: int) -> list[tuple[int, int, int]]:
        if pieces == 1 or (end - first < 2 and high - low < 2):
            return [(first, end - 1, high - low)]
        half = pieces // 2
        if high - low < 2 or (end - first > 1 and rng.random() < 0.5):
            middle = rng.randint(first + 1, end - 1)
            return cut(first, middle, low, high, half) + cut(middle, end, low, high, pieces - half)
        middle = rng.randint(low + 1, high - 1)
        return cut(first, end, low, middle, half) + cut(first, end, middle, high, pieces - half)

    return cut(0, 100, 0, 1000, 100)


def test_an_effort_that_does_not_suffice_ends_at_the_same_place() -> None:
    """The search is cut off here: after the same nodes, whatever the clock says."""
    found = []
    for step in (None, 0.0, 1e4):
        with pytest.MonkeyPatch.context() as patched:
            if step is not None:
                wild(step)(patched)
            found.append(place(hard(), budget=Limit(0.2).start()))
    assert not found[0].optimal and found[0].nodes > 100, "decided before the limit: no test of it"
    assert found[1:] == found[:1] * 2


def test_a_limit_given_by_hand_is_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = place(hard(), budget=Limit(0.2).start())
    wild(1e4)(monkeypatch)
    assert place(hard(), budget=Limit(0.2, by_clock=True).start()).nodes < patient.nodes
