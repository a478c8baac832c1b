"""What is around mcuprof fails: disks, files, clocks, names, neighbours. One line each, and nothing half done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcuprof.cli import main
from tests.cli.test_output import MAIN, ROOT, posix

SAMPLES = ROOT / "samples"
DEVICE = ("-d", "nucleo-l4r5zi")
CAFE = os.fsdecode(b"caf\xe9.tflite")
Capture = pytest.CaptureFixture[str]
# The disk is full after 4 KiB of any file: RLIMIT_FSIZE, which needs no root and no file system of its own.
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));" + MAIN


def run(
    *arguments: str, program: str = MAIN, cwd: Path | None = None, cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "80"}
    if cache is not None:
        environment["XDG_CACHE_HOME"] = str(cache)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def one_line(error: str, says: str) -> None:
    assert error.count("\n") == 1 and error.startswith("mcuprof: error: ") and says in error, error


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAMPLES / "digits_int8.tflite", tmp_path / "m.tflite"))


# Disks ----------------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("old", [b"what was there", None])
@pytest.mark.parametrize("command", ["plan", "report", "baseline"])
def test_a_full_disk_leaves_what_was_there(command: str, old: bytes | None, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    arguments = {
        "plan": ["plan", str(model), "-o", str(target)],
        "report": ["check", str(model), *DEVICE, "-f", "json", "-o", str(target), "--no-cache"],
        "baseline": ["baseline", "update", str(model), *DEVICE, "--no-cache", "--baseline", str(target)],
    }[command]
    if command == "baseline":
        # One entry is small; a baseline that is there and long makes the new one longer than the disk.
        assert main(["baseline", "update", str(model), *DEVICE, "--no-cache", "--baseline", str(target), "-q"]) == 0
        document = json.loads(target.read_bytes())
        (entry,) = document["entries"].values()
        document["entries"] = {f"{number:04}.tflite": entry for number in range(50)}
        old = json.dumps(document).encode()
    target.unlink(missing_ok=True)
    if old is not None:
        target.write_bytes(old)
    before = sorted(tmp_path.iterdir())
    done = run(*arguments, program=FULL)
    assert done.returncode == 2 and done.stdout == ""
    one_line(done.stderr, "cannot write")
    assert sorted(tmp_path.iterdir()) == before
    assert old is None or target.read_bytes() == old


@posix
def test_a_full_disk_under_the_cache_costs_time_only(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));" + MAIN
    done = run("check", str(model), *DEVICE, program=full, cache=cache)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("FITS")
    assert list((cache / "mcuprof").iterdir()) == []
    assert run("check", str(model), *DEVICE, cache=cache).stdout == done.stdout


@posix
def test_folders_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    locked = tmp_path / "locked"
    locked.mkdir()
    target = locked / "out.tflite"
    target.write_bytes(b"old")
    locked.chmod(0o555)
    try:
        done = run("plan", str(model), "-o", str(target))
        assert done.returncode == 2 and target.read_bytes() == b"old"
        one_line(done.stderr, "permission denied")
        done = run("check", str(model), *DEVICE, cache=locked)
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        locked.chmod(0o755)


@posix
@pytest.mark.parametrize("folder", ["m.tflite", "nowhere"])
def test_a_target_in_what_is_no_folder(folder: str, model: Path, tmp_path: Path) -> None:
    done = run("plan", str(model), "-o", str(tmp_path / folder / "out.tflite"))
    assert done.returncode == 2 and done.stdout == ""
    one_line(done.stderr, "cannot write")
    assert list(tmp_path.iterdir()) == [model]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' /dev/full")
def test_standard_output_on_a_full_disk(model: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", MAIN, "check", str(model), *DEVICE]
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert done.returncode == 2
    one_line(done.stderr, "no space left on device")


# Files that vanish ----------------------------------------------------------------------------------------------------


def vanish(monkeypatch: pytest.MonkeyPatch, model: Path, then: bytes | None) -> None:
    """The model is gone, or another, once its graph has been read."""
    from mcuprof import readers

    load = readers._load

    def loaded(*arguments: object) -> bytes:
        data = load(*arguments)  # type: ignore[arg-type]
        model.unlink()
        if then is not None:
            model.write_bytes(then)
        return data

    monkeypatch.setattr(readers, "_load", loaded)


@pytest.mark.parametrize(
    ("then", "says"), [(None, "no such file"), (b"another", "has changed while it was read")], ids=["gone", "another"]
)
def test_a_model_that_vanishes_while_it_is_planned(
    then: bytes | None, says: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    vanish(monkeypatch, model, then)
    assert main(["plan", str(model), "-o", str(tmp_path / "out.tflite")]) == 3
    one_line(capsys.readouterr().err, says)
    assert not (tmp_path / "out.tflite").exists()


def test_a_model_that_vanishes_before_it_is_read_costs_the_others_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from mcuprof.cache import Cache

    other = Path(shutil.copy(model, tmp_path / "other.tflite"))
    key = Cache.key

    def keyed(self: Cache, name: str, facts: object) -> str | None:
        found = key(self, name, facts)
        other.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Cache, "key", keyed)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["check", str(other), str(model), *DEVICE]) == 3
    captured = capsys.readouterr()
    one_line(captured.err, f"{other}: no such file")
    assert captured.out.startswith("FITS  ") and "m.tflite" in captured.out


@posix
def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    program = f"import os; os.makedirs({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir({str(gone)!r});" + MAIN
    done = run("check", program=program)
    assert done.returncode == 2
    one_line(done.stderr, "the working directory is not there any more")
    done = run("check", str(SAMPLES / "digits_int8.tflite"), *DEVICE, "--isolated", program=program)
    assert (done.returncode, done.stderr) == (0, "")


# Signals --------------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_signals_end_it_with_one_line_and_the_shells_code(number: int, code: int, word: str) -> None:
    """The input is a pipe that nobody writes to, so the signal finds it reading."""
    # What a shell starts in the background ignores Ctrl-C, and so do its children.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);" + MAIN
    command = [sys.executable, "-c", program, "check", "/dev/stdin", *DEVICE, "--no-cache", "-v"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline() == b"/dev/stdin: reading\n"
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (code, b"", f"mcuprof: error: {word}\n".encode())


@posix
def test_a_signal_that_somebody_ignores_stays_ignored(model: Path) -> None:
    """nohup and its kind: SIGTERM is ignored before mcuprof begins."""
    program = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "from mcuprof.cli import interrupts;"
        "\nwith interrupts.terminable(): os.kill(os.getpid(), signal.SIGTERM)\n" + MAIN
    )
    done = run("check", str(model), *DEVICE, program=program)
    assert (done.returncode, done.stderr) == (0, "")


# Neighbours, clocks, names --------------------------------------------------------------------------------------------


def test_processes_that_share_a_cache(tmp_path: Path) -> None:
    """Four at once on one empty cache, then once more on the full one: all the same answer, no word about the cache."""
    models = [str(path) for path in sorted(SAMPLES.glob("*_int8.tflite"))[:3]]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run("check", *models, *DEVICE, cache=tmp_path), range(4)))
    done.append(run("check", *models, *DEVICE, cache=tmp_path))
    assert {(one.returncode, one.stdout, one.stderr) for one in done} == {(0, done[0].stdout, "")}
    entries = list((tmp_path / "mcuprof").iterdir())
    assert len(entries) == 3 and all(entry.suffix == ".json" for entry in entries)


def test_a_trim_that_meets_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    """Two processes trim at once: entries vanish between being listed and being looked at."""
    from mcuprof import cache as module
    from tests.documents import RESULT

    cache = module.Cache(tmp_path / "cache", pytest.fail)
    names = [cache.key(str(model), number) or "" for number in range(5)]
    for name in names:
        cache.put(name, RESULT)
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    scandir = os.scandir

    def vanishing(folder: Path) -> object:
        found = scandir(folder)
        entries = list(found)
        for entry in entries[:2]:
            Path(entry.path).unlink()
        found.close()

        class Listing(list[object]):
            def __enter__(self) -> Listing:
                return self

            def __exit__(self, *_: object) -> None:
                return None

        return Listing(entries)

    monkeypatch.setattr(os, "scandir", vanishing)
    cache.put(names[4], RESULT)


@pytest.mark.parametrize("moment", [1, 4_102_444_800])  # 1970 and 2100
def test_a_clock_that_jumps_makes_no_entry_wrong(
    moment: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["check", str(model), *DEVICE]) == 0
    first = capsys.readouterr()
    for path in (*(tmp_path / "cache" / "mcuprof").iterdir(), model):
        os.utime(path, (moment, moment))
    monkeypatch.setattr(time, "time", lambda: float(moment))
    assert main(["check", str(model), *DEVICE]) == 0
    assert capsys.readouterr() == first
    # The same time and size, another content: what counts are the bytes.
    other = (SAMPLES / "ds_cnn_int8.tflite").read_bytes()
    model.write_bytes(other)
    os.utime(model, (moment, moment))
    assert main(["check", str(model), *DEVICE]) == 0
    assert capsys.readouterr().out != first.out


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
@pytest.mark.parametrize(
    "command",
    [
        ["check", "-f", "text"],
        ["check", "-f", "json"],
        ["check", "-f", "sarif"],
        ["check", "-f", "html"],
        ["analyze"],
        ["baseline", "update"],
        ["sweep", "-f", "csv"],
        ["sweep", "-f", "jsonl"],
        ["fit"],
        ["plan", "-o"],
    ],
    ids=" ".join,
)
def test_names_that_are_no_text(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SAMPLES / "digits_int8.tflite", CAFE)
    device = [] if command[0] in ("fit", "plan") else list(DEVICE)
    target = [os.fsdecode(b"out\xff.tflite")] if command[-1] == "-o" else []
    assert main([*command, *target, CAFE, *device]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out
    captured.out.encode()  # what is printed is text again
    assert all(Path(name).is_file() for name in target)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
def test_a_missing_model_whose_name_is_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", CAFE, *DEVICE]) == 3
    one_line(capsys.readouterr().err, "no such file")
    assert main(["sweep", CAFE, *DEVICE, "-f", "jsonl"]) == 1  # a table has a row for every model
    row = json.loads(capsys.readouterr().out)
    assert (row["model"], row["error"]) == ("caf\\xe9.tflite", "no such file or directory")
