"""The table of operator versions, asked of LiteRT again."""

from __future__ import annotations

import pytest

from mcuprof.ops.versions import LITERT, NEWEST
from tests.tflite_models import O, T, build

# The operators that nearly all models consist of; the others were asked when the table was made.
COMMON = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SOFTMAX", "RESHAPE", "QUANTIZE", "TRANSPOSE")


def has(kind: str, version: int) -> bool:
    from ai_edge_litert.interpreter import Interpreter

    try:
        Interpreter(model_content=build([T((1,)), T((1,))], [O(kind, [0], [1], version=version)], [0], [1]))
    except (RuntimeError, ValueError) as error:
        return "Didn't find op" not in str(error)
    return True


@pytest.mark.parametrize("kind", COMMON)
def test_litert_has_the_newest_and_none_after_it(kind: str) -> None:
    from importlib.metadata import version

    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    if version("ai-edge-litert") != LITERT:
        pytest.skip(f"the table is of LiteRT {LITERT}, {version('ai-edge-litert')} is installed")
    assert has(kind, NEWEST[kind]) and not has(kind, NEWEST[kind] + 1)
