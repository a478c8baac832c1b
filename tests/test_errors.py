from __future__ import annotations

import pytest

from mcuprof import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [(errors.UsageError, 2), (errors.DeviceError, 2), (errors.ModelError, 3), (errors.McuprofError, 4)],
)
def test_exit_codes_are_those_of_the_design(kind: type[errors.McuprofError], code: int) -> None:
    assert kind("x").exit_code == code
    assert issubclass(kind, errors.McuprofError)
