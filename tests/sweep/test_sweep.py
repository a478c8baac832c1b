from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

import mcuprof
from mcuprof.cli import main
from mcuprof.errors import UsageError
from mcuprof.sweep import TABLES, Job, Journal, Row, build_name, failed, file_sha256, mark_front, sweep
from mcuprof.sweep.local import local
from tests.corpus import models, needs_shared
from tests.sweep.hanging import hanging

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
FILES = [SAMPLES / f"{name}_int8.tflite" for name in ("ds_cnn", "resnet8", "digits", "lstm")]
DEVICES = ("nucleo-l4r5zi", "nucleo-h743zi", "raspberry-pi-pico")


def job(path: Path, device: str = "nucleo-l4r5zi", order: str = "as-is") -> Job:
    return Job(
        path.name, str(path), file_sha256(path), mcuprof.device(device), "tflm", None, order, "none", 10.0,
        (None, None, None, None), (), build_name(),
    )  # fmt: skip


def jobs() -> list[Job]:
    return [job(path, device) for path in FILES for device in DEVICES]


def test_rows_say_what_check_says() -> None:
    for one, row in zip(jobs(), sweep(jobs(), processes=1), strict=True):
        result = mcuprof.check(mcuprof.load(one.path), one.device)
        assert (row.status == "fits") == result.verdict.fits
        assert row.arena_bytes == result.memory.arena_bytes and row.flash_bytes == result.flash.total_bytes
        assert row.ms == (result.latency.ms if result.latency else None)
        assert row.ram_bytes is not None and row.ram_bytes == result.memory.min_arena_bytes + (row.stack_bytes or 0)
        assert (row.model, row.device) == (one.model, one.device.id)


def test_processes_give_the_same_table() -> None:
    assert sweep(jobs(), processes=2) == sweep(jobs(), processes=1)


def test_a_broken_model_is_a_row(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(FILES[0].read_bytes()[:500])
    rows = sweep([job(bad), job(FILES[0]), job(tmp_path / "none.tflite")], processes=1)
    assert [row.status for row in rows] == ["failed", "fits", "failed"]
    assert rows[0].error is not None and rows[0].error.startswith("is damaged or truncated")
    assert rows[2].error == "no such file or directory"


def test_a_file_that_changed_on_the_way_is_not_taken_for_the_other(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(FILES[0].read_bytes())
    one = job(path)
    path.write_bytes(FILES[1].read_bytes())
    assert sweep([one], processes=1)[0].error == "is not the file that the sweep began with"


def test_another_build_on_a_worker_is_told() -> None:
    row = sweep([msgspec.structs.replace(job(FILES[0]), build="0.0.1")], processes=1)[0]
    assert row.error == f"the worker has mcuprof {build_name()}, not 0.0.1"


def test_a_worker_that_dies_costs_its_row_and_no_other() -> None:
    todo = [hanging(job(FILES[0])), *jobs()]
    found: dict[int, Row] = {}
    for position, row, passing in local(todo, 2):
        found[position] = row
        assert passing is (position == 0)
        if len(found) == len(todo) - 1:
            assert 0 not in found
            _kill_children()
    assert sorted(found) == list(range(len(todo)))
    assert found[0].error == "the worker was killed by signal 9"
    assert [found[at] for at in range(1, len(todo))] == [row for _, row, _ in local(jobs(), 1)]


def _kill_children() -> None:
    import multiprocessing

    for child in multiprocessing.active_children():
        child.kill()


def test_what_is_in_the_journal_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv.partial"
    whole = sweep(jobs(), processes=1)
    seen: list[tuple[int, int, int]] = []

    def stop(done: int, total: int, broken: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(jobs(), processes=1, journal=path, progress=stop)
    with path.open("ab") as file:
        file.write(b'{"key": "cut in the mid')  # as a kill or a full disk leaves it
    assert sweep(jobs(), processes=1, journal=path, progress=lambda *a: seen.append(a)) == whole
    assert seen[0] == (5, len(whole), 0)
    monkeypatch.setattr("mcuprof.sweep.local", None)  # nothing is left to compute
    assert sweep(jobs(), processes=1, journal=path) == whole
    assert len(path.read_bytes().splitlines()) == len(whole)


def test_another_question_is_not_answered_from_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.partial"
    sweep(jobs(), processes=1, journal=path)
    other = [msgspec.structs.replace(one, limits=(1024, None, None, None)) for one in jobs()]
    assert {row.status for row in sweep(other, processes=1, journal=path)} == {"over"}


def test_rows_of_dead_workers_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv.partial"
    one = job(FILES[0])
    monkeypatch.setattr("mcuprof.sweep.local", lambda todo, processes: iter([(0, failed(one, "died"), True)]))
    assert sweep([one], journal=path)[0].error == "died"
    monkeypatch.undo()
    assert sweep([one], processes=1, journal=path)[0].status == "fits"


def test_two_sweeps_do_not_write_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(UsageError, match="another sweep is writing"):
        Journal(tmp_path / "j").__enter__()
    with pytest.raises(UsageError, match="cannot write"):
        Journal(tmp_path / "no" / "j").__enter__()


def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    """A real process, killed with SIGKILL at several moments: no row is lost, none is there twice."""
    words = ["sweep", *map(str, FILES), *(word for name in DEVICES for word in ("-d", name))]
    assert main([*words, "-o", str(tmp_path / "whole.csv"), "-j", "1"]) in (0, 1)
    program = [*words, "-o", str(tmp_path / "t.csv"), "-j", "1"]
    code = f"import sys; from mcuprof.cli import main; sys.exit(main({program!r}))"
    partial = tmp_path / "t.csv.partial"
    kept = 0
    for wanted in (1, 3, 6):
        running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
        while running.poll() is None and len(_lines(partial)) < max(wanted, kept + 1):
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert len(_lines(partial)) >= kept
        kept = len(_lines(partial))
    keys = [json.loads(line)["key"] for line in _lines(partial)]
    assert len(set(keys)) == len(keys)
    assert main([*words, "-o", str(tmp_path / "t.csv"), "-j", "1"]) in (0, 1)
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not partial.exists()


def _lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")] if path.exists() else []


# Tables ---------------------------------------------------------------------------------------------------------------


def test_formats_hold_the_same_rows() -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    import io

    rows = [*sweep(jobs(), processes=1), failed(jobs()[0], 'a "reason", with comma')]
    expected = [msgspec.to_builtins(row) for row in rows]
    assert parquet.read_table(io.BytesIO(TABLES["parquet"](rows))).to_pylist() == expected
    assert [json.loads(line) for line in TABLES["jsonl"](rows).splitlines()] == expected
    read = list(csv.DictReader(TABLES["csv"](rows).decode().splitlines()))
    for one, other in zip(read, expected, strict=True):
        assert one == {
            name: "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in other.items()
        }


def row(device: str, ram: int, flash: int, ms: float | None, status: str = "fits") -> Row:
    return Row("m", device, "c", 1, "tflm", "k", "as-is", "none", status, ram_bytes=ram, flash_bytes=flash, ms=ms)  # type: ignore[arg-type]


def test_the_front_is_what_nothing_beats() -> None:
    import random

    rng = random.Random(7)
    rows = [row(rng.choice("ab"), rng.randint(1, 9), rng.randint(1, 9), float(rng.randint(1, 9))) for _ in range(150)]
    rows += [row("a", 0, 0, 0.0, "over"), row("a", 0, 0, None)]

    def beaten(one: Row) -> bool:
        point = (one.ram_bytes, one.flash_bytes, one.ms)
        for other in rows:
            rival = (other.ram_bytes, other.flash_bytes, other.ms)
            if other.device != one.device or other.status != "fits" or None in rival or rival == point:
                continue
            if all(a <= b for a, b in zip(rival, point, strict=True)):  # type: ignore[operator]
                return True
        return False

    found = mark_front(rows)
    assert [one.pareto for one in found[:150]] == [not beaten(one) for one in rows[:150]]
    assert not found[150].pareto and not found[151].pareto


# Command line ---------------------------------------------------------------------------------------------------------


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", str(FILES[0]), str(tmp_path / "gone.tflite"), "-d", "nucleo-l4r5zi", "-j", "1"]
    assert main([*words, "-o", str(tmp_path / "t.jsonl"), "--order", "as-is", "--order", "optimal"]) == 1
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [(one["order"], one["status"]) for one in rows] == [
        *(("as-is", "fits"), ("optimal", "fits")),
        *(("as-is", "failed"), ("optimal", "failed")),
    ]
    assert main([*words[:2], "-d", "nucleo-l4r5zi"]) == 0
    assert "1 rows, 1 fit" in capsys.readouterr().out
    assert main([*words[:2], "-d", "nucleo-l4r5zi", "--ram", "8K"]) == 1
    assert main([*words[:2], "-d", "nucleo-l4r5zi", "-d", "nucleo-h743zi", "-f", "csv", "--pareto"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 2


def test_a_narrow_terminal_cuts_no_numbers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        "sweep",
        *map(str, FILES[:2]),
        "-d",
        "nucleo-l4r5zi",
        "-d",
        "pico",
        "--order",
        "as-is",
        "--order",
        "optimal",
    ]
    found = []
    for width in ("40", "80"):
        monkeypatch.setenv("COLUMNS", width)
        assert main([*words, "-j", "1"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= int(width)
        rows = [line.split() for line in lines if " fits " in line]
        found.append([row[row.index("fits") : row.index("fits") + 3] for row in rows])
        assert not any("…" in word for row in rows for word in row[row.index("fits") :])
    assert found[0] == found[1]
    assert len(found[0]) == 8


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([], "a sweep needs devices"),
        (["-d", "nothing-like-it"], "unknown device"),
        (["-d", "nucleo-l4r5zi", "-f", "parquet"], "name a file with -o"),
        (["-d", "nucleo-l4r5zi", "-j", "0"], "not a number of processes"),
        (["-d", "nucleo-l4r5zi", "-o", str(FILES[0])], "is the model itself"),
        (["-d", "nucleo-l4r5zi", "-o", "/nowhere/at/all.csv"], "cannot write"),
    ],
)
def test_requests_that_make_no_sense(more: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(FILES[0]), *more]) == 2
    assert reason in capsys.readouterr().err


@needs_shared
@pytest.mark.slow
def test_the_whole_corpus_gets_its_rows() -> None:
    todo = [job(entry.path) for entry in models()]
    rows = sweep(todo, processes=2)
    assert len(rows) == len(todo)
    assert not any("internal error" in (each.error or "") or "worker" in (each.error or "") for each in rows)
