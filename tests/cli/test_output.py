"""What happens to standard output and to files, seen from outside: `mcuprof report` in processes of their own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mcuprof.cli import output
from mcuprof.document import encode
from mcuprof.errors import UsageError
from tests.documents import RESULT, report

ROOT = Path(__file__).resolve().parents[2]
MAIN = "import sys; from mcuprof.cli import main; sys.exit(main())"
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes, permissions and devices")


def run(*arguments: str, program: str = MAIN, **environment: str) -> subprocess.CompletedProcess[bytes]:
    keep = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**keep, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def stored(tmp_path: Path) -> str:
    path = tmp_path / "result.json"
    path.write_bytes(encode(report(*[RESULT] * 300)))
    return str(path)


def test_help_needs_no_heavy_import() -> None:
    program = (
        "import sys; from mcuprof.cli import main; main(['--help']); main(['check', '--help']); main(['explain']);"
        "print(sorted({'numpy.linalg', 'onnx', 'tflite', 'networkx'} & set(sys.modules)), file=sys.stderr)"
    )
    assert run(program=program).stderr.strip() == b"[]"


@posix
def test_a_reader_that_leaves_is_no_error(stored: str) -> None:
    command = [sys.executable, "-c", MAIN, "report", stored]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["report", "RESULT"], ["--help"]])
def test_a_full_disk_is_one_line(stored: str, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *(stored if word == "RESULT" else word for word in arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == b"mcuprof: error: cannot write to standard output: no space left on device\n"


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp437"])
@pytest.mark.parametrize("format", ["text", "json", "markdown"])
def test_other_locales_work(stored: str, encoding: str, format: str) -> None:
    done = run("report", stored, "-f", format, PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.isascii()


def test_unicode_where_the_terminal_has_it(stored: str) -> None:
    assert "█" in run("report", stored, PYTHONIOENCODING="utf-8").stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "environment", "coloured"),
    [
        ([], {}, False),  # no terminal
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": ""}, True),  # an empty NO_COLOR counts as absent
        ([], {"FORCE_COLOR": "0"}, False),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colour(stored: str, arguments: list[str], environment: dict[str, str], coloured: bool) -> None:
    assert (b"\x1b[" in run("report", stored, *arguments, **environment).stdout) == coloured


@posix
@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_on_a_terminal(stored: str, environment: dict[str, str], coloured: bool) -> None:
    import pty

    leader, follower = pty.openpty()
    keep = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    one = Path(stored)
    one.write_bytes(encode(report(RESULT)))  # small enough for the terminal's buffer
    subprocess.run(
        [sys.executable, "-c", MAIN, "report", stored],
        env={**keep, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment},
        stdout=follower,
        check=True,
        timeout=60,
    )
    os.close(follower)
    assert (b"\x1b[1;32mFITS" in os.read(leader, 10_000)) == coloured
    os.close(leader)


def test_the_width_follows_the_terminal(stored: str) -> None:
    narrow = run("report", stored, COLUMNS="40", PYTHONIOENCODING="utf-8").stdout.decode()
    assert max(map(len, narrow.splitlines())) <= 40


def test_a_file_is_complete_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    target.write_text("old")

    def broken(self: Path, other: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(UsageError, match=r"cannot write .*: no space left on device"):
        output.write_file(str(target), "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@posix
def test_a_file_keeps_its_mode_and_a_link_its_place(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    output.write_file(str(link), "neu: ü")
    assert link.is_symlink() and real.read_text(encoding="utf-8") == "neu: ü"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


@posix
def test_a_device_is_written_not_replaced() -> None:
    output.write_file("/dev/null", "text")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("name", ["", ".", "no/such/folder/x", "nul\0l"])
def test_a_file_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot write"):
        output.write_file(name, "text")
    assert list(tmp_path.iterdir()) == []
