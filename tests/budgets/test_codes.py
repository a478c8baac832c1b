from __future__ import annotations

import ast
import re
from pathlib import Path

from mcuprof.budgets import CODES
from mcuprof.budgets.examples import EXAMPLES

FAMILIES = ("M1", "F2", "L3", "O4", "Q5", "D6", "V6", "R7", "C9")
PACKAGE = Path(__file__).resolve().parents[2] / "mcuprof"


def test_every_code_belongs_to_a_family_and_explains_itself() -> None:
    for code, entry in CODES.items():
        assert entry.code == code
        assert re.fullmatch(r"[A-Z]\d{3}", code) and code.startswith(FAMILIES)
        assert entry.title and not entry.title.endswith(".")
        assert entry.cause.endswith(".") and entry.fix.endswith(".")


def test_every_code_has_an_example() -> None:
    assert list(EXAMPLES) == list(CODES)
    assert all(text.endswith(".") for text in EXAMPLES.values())


def test_no_code_was_given_twice() -> None:
    from mcuprof.budgets import codes

    assert len(codes._ALL) == len(CODES)


def test_every_family_of_the_design_is_there() -> None:
    assert {code[:2] for code in CODES} == set(FAMILIES)


def written_codes() -> dict[str, str]:
    """Every string in the package that looks like a code, and a file that holds it."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.fullmatch(rf"({'|'.join(FAMILIES)})\d\d", text):
                found.setdefault(text, str(path.relative_to(PACKAGE)))
    return found


def emitted_codes() -> dict[str, str]:
    """What is written as the first argument of a call of Finding, where it is a literal."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Finding" and node.args:
                for literal in ast.walk(node.args[0]):
                    if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
                        found.setdefault(literal.value, str(path.relative_to(PACKAGE)))
    return found


def test_no_room_emits_a_code_that_nobody_explains() -> None:
    written, emitted = written_codes(), emitted_codes()
    assert {"M101", "R701"} <= emitted.keys()  # or the search found nothing and this test proves nothing
    unknown = {code: where for code, where in {**written, **emitted}.items() if code not in CODES}
    assert unknown == {}


def test_no_code_is_explained_that_nobody_emits() -> None:
    """A code counts as emitted where a room that makes findings spells it out."""
    silent = {"budgets/codes.py", "budgets/examples.py", "budgets/policy.py", "document.py"}
    spelled: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name in silent or name.startswith("report/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                spelled.add(node.value)
    assert set(CODES) - spelled == set()
