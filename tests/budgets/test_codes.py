from __future__ import annotations

import re

from mcuprof.budgets import CODES

FAMILIES = ("M1", "F2", "L3", "O4", "Q5", "D6", "V6", "R7", "C9")


def test_every_code_belongs_to_a_family_and_explains_itself() -> None:
    for code, entry in CODES.items():
        assert entry.code == code
        assert re.fullmatch(r"[A-Z]\d{3}", code) and code.startswith(FAMILIES)
        assert entry.title and not entry.title.endswith(".")
        assert entry.cause.endswith(".") and entry.fix.endswith(".")


def test_no_code_was_given_twice() -> None:
    from mcuprof.budgets import codes

    assert len(codes._ALL) == len(CODES)


def test_every_family_of_the_design_is_there() -> None:
    assert {code[:2] for code in CODES} == set(FAMILIES)
