"""What is shipped and what it may do: the wheel holds the code and the database and nothing else, and nobody needs a
network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.test_output import ROOT

SAMPLES = ROOT / "samples"
DEVICE = ("-d", "nucleo-l4r5zi")
# As sitecustomize: every way to the network that Python has ends the process, also in processes that it starts.
REFUSING = """\
import os, socket, sys

def refuse(*arguments, **options):
    sys.stderr.write("NETWORK\\n")
    os._exit(77)

def audit(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        refuse()
    if event == "socket.__new__" and arguments[1] != getattr(socket, "AF_UNIX", None):
        refuse()

sys.addaudithook(audit)
"""


def core_requirements() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'"([^"]+)"', text.split("\ndependencies = [")[1].split("\n]")[0])


def all_requirements() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    # Strings that are requirements, not comments or the project's own extras.
    listed = re.findall(r'"([^"]+)"', re.sub(r"#.*", "", extras))
    return [*core_requirements(), *(one for one in listed if not one.startswith("mcuprof["))]


def test_every_requirement_has_a_lower_pin_and_an_upper_bound() -> None:
    assert len(core_requirements()) >= 5
    loose = [one for one in all_requirements() if not re.search(r">=[^,]+,<\d|==\d", one.split(";")[0])]
    assert loose == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names in the wheel, built from a copy, so that nothing of an earlier build gets in and none is left."""
    setuptools = pytest.importorskip("setuptools", reason="setuptools is not installed")
    if int(setuptools.__version__.split(".")[0]) < 71:
        pytest.skip("this setuptools cannot build wheels without the package wheel")
    source = tmp_path_factory.mktemp("source")
    for name in ("mcuprof", "device_db", "tests", "samples", "tools"):
        ignored = shutil.ignore_patterns("__pycache__", "*.tflite", "*.onnx")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", "out", "."], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = (source / "out").glob("mcuprof-*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_code_and_the_database(wheel: list[str]) -> None:
    code = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "mcuprof").rglob("*")
        if path.suffix in (".py", ".css", ".js")
    }
    data = {
        f"mcuprof/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "device_db").rglob("*") if path.is_file()
    }
    data = {name for name in data if "__pycache__" not in name}
    assert len(code) > 200 and len(data) > 50
    assert (code | data | {"mcuprof/py.typed"}) - set(wheel) == set()


def test_the_wheel_holds_nothing_else(wheel: list[str]) -> None:
    strange = [name for name in wheel if not name.startswith("mcuprof/") and ".dist-info/" not in name]
    assert strange == []
    assert [name for name in wheel if name.endswith((".pyc", ".tflite", ".onnx"))] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "m.tflite", *DEVICE],
        ["plan", "m.tflite", "-o", "out.tflite"],
        ["verify", "m.tflite", "--against", "tflm", "--count", "1"],
        ["report", "result.json", "-f", "html"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_nothing_needs_the_network(arguments: list[str], tmp_path: Path) -> None:
    if arguments[0] == "verify":
        pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    shutil.copy(SAMPLES / "digits_int8.tflite", tmp_path / "m.tflite")
    if arguments[0] == "report":
        from mcuprof.document import encode
        from tests.documents import RESULT, report

        (tmp_path / "result.json").write_bytes(encode(report(RESULT)))
    done = offline("import sys; from mcuprof.cli import main; sys.exit(main())", arguments, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_refusal_refuses(tmp_path: Path) -> None:
    """Or the test above would prove nothing."""
    connect = "import socket; socket.create_connection(('127.0.0.1', 9))"
    child = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {connect!r}]).returncode)"
    for program in (connect, child, "import urllib.request as r; r.urlopen('http://localhost:9')"):
        done = offline(program, [], tmp_path)
        assert done.returncode == 77 and done.stderr == "NETWORK\n"


def offline(program: str, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(REFUSING, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
