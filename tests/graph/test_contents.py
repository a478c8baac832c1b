"""Contents of constants, against ml_dtypes and the bits of the formats, whatever packages are loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcuprof.graph import DType, Graph, Op, Tensor, pack
from mcuprof.writers.tflite_model import to_tflite

BITS = (0x0000, 0x8000, 0x3F80, 0xC049, 0x7F80, 0xFF80, 0x0001, 0x7F7F, 0x3EAB)  # 0, −0, 1, −3.140625, ±∞, tiny, huge
CONTENT = np.array(BITS, "<u2").tobytes()
WITHOUT, WITH = "import sys; sys.modules['ml_dtypes'] = None; ", "import ml_dtypes; "


def bfloat16(content: bytes = CONTENT) -> Tensor:
    return Tensor("c", (len(content) // 2,), DType.BFLOAT16, data=memoryview(content))


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)


def test_bfloat16_is_the_upper_half_of_float32() -> None:
    values = bfloat16().array()
    assert values.dtype == np.float32
    assert (values.view(np.uint32) == np.array(BITS, np.uint32) << 16).all()
    assert pack(values, DType.BFLOAT16) == CONTENT


def test_floats_become_bfloat16_as_ml_dtypes_rounds_them() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1 << 32, 100_000, np.uint64).astype(np.uint32).view(np.float32)
    ties = ((rng.integers(0, 1 << 16, 1000).astype(np.uint32) << 16) + 0x8000).view(np.float32)
    for array in (
        values[~np.isnan(values)],
        ties[~np.isnan(ties)],
        np.array([np.inf, -np.inf, 3.4028235e38], np.float32),
    ):
        assert pack(array, DType.BFLOAT16) == array.astype(ml_dtypes.bfloat16).tobytes()
    assert np.isnan(bfloat16(pack(np.array([np.nan], np.float32), DType.BFLOAT16)).array()).all()


@pytest.mark.parametrize("dtype", [DType.INT4, DType.UINT4, DType.INT2, DType.INT16, DType.FLOAT16, DType.BOOL])
def test_what_is_packed_is_read_again(dtype: DType) -> None:
    low = 0 if dtype in (DType.UINT4, DType.BOOL) else -2
    values = np.arange(7) % (2 if dtype in (DType.INT2, DType.BOOL) else 6) + low
    data = pack(values.astype(np.float32 if dtype.is_float else np.int8), dtype)
    assert len(data) == dtype.nbytes(7)
    assert (Tensor("c", (7,), dtype, data=memoryview(data)).array() == values).all()


@pytest.mark.parametrize("setting", [WITHOUT, WITH], ids=["without", "with"])
def test_contents_do_not_depend_on_ml_dtypes(setting: str) -> None:
    if setting is WITH:
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    code = (
        "from tests.graph.test_contents import bfloat16; from mcuprof.graph import *; values = bfloat16().array();"
        "print(values.dtype, values.tolist(), pack(values, DType.BFLOAT16).hex())"
    )
    values = (np.array(BITS, np.uint32) << 16).view(np.float32)
    done = run(setting + code)
    assert done.stdout.decode() == f"float32 {values.tolist()} {CONTENT.hex()}\n", done.stderr


@pytest.mark.parametrize("command", ["analyze", "check", "verify", "plan"])
def test_commands_say_the_same_with_and_without_ml_dtypes(tmp_path: Path, command: str) -> None:
    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    model, out = tmp_path / "m.tflite", tmp_path / "out.tflite"
    tensors = (
        Tensor("x", (9,), DType.FLOAT32),
        bfloat16(),
        Tensor("wide", (9,), DType.FLOAT32),
        Tensor("sum", (9,), DType.FLOAT32),
        Tensor("y", (9,), DType.FLOAT32),
    )
    ops = (Op("CAST", (1,), (2,)), Op("ADD", (0, 2), (3,)), Op("ADD", (3, 1), (4,)))
    model.write_bytes(to_tflite(Graph("g", tensors, ops, (0,), (4,))))
    code = "from mcuprof.cli import main; sys.exit(main(sys.argv[1:]))"
    rest = ["-o", str(out)] if command == "plan" else ["--no-cache", "-f", "json"] if command != "verify" else []
    found = [run(f"import sys; {setting}{code}", command, str(model), *rest) for setting in (WITHOUT, WITH)]
    assert found[0].returncode in (0, 1, 3) and found[0].returncode == found[1].returncode, found[0].stderr
    assert (found[0].stdout, found[0].stderr) == (found[1].stdout, found[1].stderr)
    if command == "verify":
        assert found[0].returncode == 3 and b"bfloat16" in found[0].stderr
