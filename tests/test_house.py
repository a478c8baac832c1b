"""The house rules that a machine can see: rooms import only from floors below, nothing heavy is imported early."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "mcuprof"

# The errors lie below the ground floor: everybody raises them.
FLOORS = {
    "errors": -1,
    "units": 0,
    "progress": -1,
    "limits": 1,
    "graph": 0,
    "document": 0,
    "cost_document": -1,  # parts of the document: plain values that know nothing
    "split_document": -1,
    "fit_document": 1,
    "ops": 1,
    "hardware": 1,
    "regions": 2,
    "cache": 2,
    "readers": 2,
    "memory": 2,
    "runtimes": 2,
    "costs": 3,
    "runner": 3,
    "rewrites": 3,
    "writers": 3,
    "analysis": 4,
    "calibration": 4,
    "planning": 4,
    "budgets": 5,
    "search": 5,
    "sweep": 6,
    "report": 6,  # the verdict flows from budgets to report: SARIF describes the rules that were broken
    "cli": 7,
}
# A notebook asks a value for its picture (`_repr_html_`), so the document knows who paints it, by a late import.
UPWARD = {"document": ("mcuprof.report.notebook.layers", "mcuprof.report.notebook.framed")}
HEAVY = (
    "onnx",
    "networkx",
    "ortools",
    "pandas",
    "pyarrow",
    "distributed",
    "dask",
    "tflite_micro",
    "ai_edge_litert",
    "onnxruntime",
    "sklearn",
    "matplotlib",
)
# Parts of what a check of a usual .tflite file can do without: a NumPy that somebody touched, the generated schema.
NEEDLESS = ("numpy.linalg", "tflite", "flatbuffers")
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def runtime_imports(path: Path) -> list[tuple[str, bool]]:
    """(module, inside a function) of every import that is executed, type-checking blocks left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, nested: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, nested) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.extend((f"{child.module}.{alias.name}", nested) for alias in child.names)
            visit(child, nested or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(tree, False)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_from_the_floors_below(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        pytest.skip("the public API names things of every floor")
    for module, _ in runtime_imports(path):
        if not module.startswith("mcuprof."):
            continue
        other = module.split(".")[1]
        if other not in FLOORS or other == room:  # `mcuprof.__version__`, or the room itself
            continue
        assert FLOORS[other] < FLOORS[room] or module in UPWARD.get(room, ()), f"{room} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    early = [module for module, nested in runtime_imports(path) if not nested and module.split(".")[0] in HEAVY]
    assert early == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_checking_a_tflite_file_imports_nothing_heavy() -> None:
    sample = PACKAGE.parent / "samples" / "ds_cnn_int8.tflite"
    code = (
        "import sys\n"
        "from mcuprof.cli import main\n"
        f"assert main(['check', {str(sample)!r}, '-d', 'nucleo-l4r5zi', '-q']) == 0\n"
        f"print(sorted(set({(*HEAVY, *NEEDLESS)!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
