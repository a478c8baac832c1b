"""What a file may ask for, and operands that no operator can be without."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.errors import ModelError, UsageError
from mcuprof.limits import ReadLimits, parse_limit
from mcuprof.readers import read
from tests.tflite_models import O, T, build

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "digits_int8.tflite"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (ReadLimits(file=100), "--limit file=7872"),
        (ReadLimits(tensors=3), "--limit tensors="),
        (ReadLimits(operators=2), "--limit operators="),
        (ReadLimits(calls=2), "--limit calls="),
        (ReadLimits(tensor=10), "--limit tensor="),
        (ReadLimits(activations=10), "--limit activations="),
    ],
)
def test_a_model_above_a_limit_says_how_to_raise_it(limits: ReadLimits, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read(SAMPLE, limits=limits)


def test_limits_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(SAMPLE), "--no-cache", "--limit", "file=1K"]) == 3
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and "--limit file=7872" in err
    for text in ("bytes=1", "operators=", "operators=-1", "file=x"):
        with pytest.raises(UsageError):
            parse_limit(text)


def test_operands_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    cases: tuple[tuple[list[int], list[int], str], ...] = (
        ([], [1], "has no input 0"),
        ([0, -1], [1], "has no input 1"),
        ([0, 0], [], "has no output"),
    )
    for inputs, outputs, words in cases:
        path.write_bytes(build([T((1, 4)), T((1, 4))], [O("ADD", inputs, outputs)], [0], [1]))
        with pytest.raises(ModelError, match=words):
            read(path)
