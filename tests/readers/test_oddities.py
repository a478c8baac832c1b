"""What is odd about a file, and what is not: real names are full of slashes, semicolons, colons and brackets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcuprof.graph import Op
from mcuprof.readers.oddities import oddities
from tests.corpus import models, needs_shared
from tests.graphs import graph, op, tensor


def of(
    *names: str, description: str = "", form: str = "tflite", suffix: str = ".tflite", ops: tuple[Op, ...] = ()
) -> list[str]:
    made = graph([tensor(name, [1]) for name in names], ops, [], [])
    return list(oddities(replace(made, origin=replace(made.origin, description=description)), form, suffix))


@pytest.mark.parametrize(
    "name",
    [
        "model/conv2d/Relu;model/conv2d/BiasAdd;model/conv2d/Conv2D",
        "serving_default_x:0",
        "StatefulPartitionedCall/<lambda>/add",
        "a<b",
        "Gewichte größer",
        "-1",
        "=",
        "@tf.function",
        "a|b",
        "conv.weight[0]",
    ],
)
def test_what_converters_write_is_not_odd(name: str) -> None:
    assert of(name) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("\x1b[31mred", "holds control characters"),
        ("a\nb", "holds control characters"),
        ("abc\u202edef", "holds control characters"),
        ("\ufffdx", "is not valid UTF-8"),
        ("<script>alert(1)</script>", "holds markup"),
        ("<IMG src=x>", "holds markup"),
        ("=cmd|' /C calc'!A0", "holds a formula that a spreadsheet would run"),
        ('=HYPERLINK("x")', "holds a formula that a spreadsheet would run"),
    ],
)
def test_names_that_are_meant_for_other_programs(name: str, problem: str) -> None:
    (found,) = of(name)
    assert found.startswith("a name ") and found.endswith(problem) and found.isprintable()


def test_many_odd_names_are_one_oddity() -> None:
    (found,) = of(*(f"<b>{number}" for number in range(1000)))
    assert found.endswith("holds markup (and 999 more)")


def test_the_wrong_name_for_a_format() -> None:
    assert of(suffix=".onnx") == ["the file is named .onnx but holds a tflite model"]
    assert of(suffix=".TFLITE") == of(suffix=".bin") == of(suffix="") == []


def test_versions_that_do_not_exist() -> None:
    assert len(of("x", ops=(replace(op("CONV_2D", (0,), (0,)), version=0),))) == 1
    assert len(of("x", ops=(replace(op("CONV_2D", (0,), (0,)), version=9),))) == 1
    assert of("x", ops=(replace(op("CONV_2D", (0,), (0,)), version=8),)) == []
    assert of("x", ops=(replace(op("CUSTOM:mine", (0,), (0,)), version=77),)) == []
    assert of("x", form="onnx", suffix=".onnx", ops=(replace(op("CONV_2D", (0,), (0,)), version=99),)) == []


@needs_shared
def test_no_real_model_is_odd() -> None:
    from mcuprof.errors import ModelError
    from mcuprof.readers import read

    for entry in models():
        if entry.row["kind"] == "adversarial" or entry.path.stat().st_size > 2_000_000:
            continue
        try:
            odd = read(entry.path).origin.oddities
        except ModelError:
            continue
        assert odd == (), entry.name
