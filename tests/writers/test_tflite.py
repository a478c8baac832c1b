"""Plans in .tflite files: the same network to every other reader, the same bytes behind the front, and back again."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import tflite
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.errors import ModelError
from mcuprof.readers.tflite import read_tflite
from mcuprof.writers import FilePlan, carries_plan, strip, with_plan
from mcuprof.writers.flatbuffer import Table, follow
from mcuprof.writers.tflite import OFFLINE_PLAN, OWN_RECORD, first_operators, is_own
from tests.corpus import MODELS, model, needs_shared
from tests.tflite_models import O, T, build

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.tflite"))
DAMAGED = ("bad_", "lfs_")
LARGEST = 1 << 20
CORPUS = [
    path
    for path in sorted(MODELS.glob("*.tflite"))
    if not path.name.startswith(DAMAGED) and path.stat().st_size < LARGEST
]


def chain() -> bytes:
    """Two operators that could run in either order, and no metadata."""
    a, b = T((1, 8), scale=(0.1,), zero=(0,)), T((1, 4, 2), scale=(0.1,), zero=(0,))
    return build([a, a, b, b], [O("RELU", [0], [2]), O("RELU", [1], [3])], [0, 1], [2, 3])


def plan_for(data: bytes) -> FilePlan:
    graph = read_tflite(data, {})
    return FilePlan(tuple(reversed(range(len(graph.ops)))), tuple(range(0, 16 * len(graph.tensors), 16)))


def described(data: bytes) -> dict[str, Any]:
    """All of a file that a runtime looks at, through the schema's own accessors, operators sorted by their outputs."""
    found = tflite.Model.GetRootAs(data, 0)
    graph = found.Subgraphs(0)
    buffers = [found.Buffers(i) for i in range(found.BuffersLength())]
    content = [bytes(buffer.DataAsNumpy()) if buffer.DataLength() else b"" for buffer in buffers]
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    return {
        "version": found.Version(),
        "description": found.Description(),
        "signatures": found.SignatureDefsLength(),
        "codes": [found.OperatorCodes(i).BuiltinCode() for i in range(found.OperatorCodesLength())],
        "buffers": content,
        "alignment": [buffer._tab.Vector(buffer._tab.Offset(4)) % 64 for buffer in buffers if buffer.DataLength()],
        "tensors": [
            (tensor.Name(), tensor.ShapeLength(), tensor.Type(), tensor.Buffer(), tensor.IsVariable())
            for tensor in map(graph.Tensors, range(graph.TensorsLength()))
        ],
        "operators": sorted(
            (op.OutputsAsNumpy().tolist(), op.InputsAsNumpy().tolist(), op.OpcodeIndex(), op.BuiltinOptionsType())
            for op in operators
            if op.OutputsLength()
        ),
        "metadata": [
            (entry.Name(), content[entry.Buffer()]) for entry in map(found.Metadata, range(found.MetadataLength()))
        ],
    }


@pytest.mark.parametrize("path", SAMPLES + CORPUS, ids=lambda path: path.name)
def test_a_plan_changes_nothing_but_order_and_metadata_and_strip_undoes_it(path: Path) -> None:
    original = path.read_bytes()
    graph = read_tflite(original, {})
    if graph.subgraphs:
        with pytest.raises(ModelError, match="subgraphs"):
            with_plan(original, plan_for(original))
        return
    if not tflite.Model.GetRootAs(original, 0).BuffersLength():
        with pytest.raises(ModelError, match="no buffers"):
            with_plan(original, plan_for(original))
        return
    bare = strip(original)
    assert (bare == original) == (not carries_plan(graph.origin.metadata))
    plan = plan_for(bare)
    planned = with_plan(original, plan)

    before, after = described(bare), described(planned)
    assert [name for name, _ in after["metadata"][-2:]] == [OFFLINE_PLAN.encode(), OWN_RECORD.encode()]
    words = struct.unpack(f"<{3 + len(graph.tensors)}i", after["metadata"][-2][1])
    assert words == (1, 1, len(graph.tensors), *plan.offsets)  # docs/memory_management.md of tflite-micro
    after["metadata"], after["buffers"], after["alignment"] = (
        after["metadata"][:-2],
        after["buffers"][:-2],
        after["alignment"][:-2],
    )
    assert after == before

    # Behind the front, only the list of operators differs.
    front = len(planned) - len(bare)
    changed = [at for at in range(len(bare)) if planned[front + at] != bare[at]]
    table = Table(bare, follow(bare, 0)).vector(2)
    assert table is not None
    operators = table.tables()[0].vector(3)
    assert front % 64 == 0 and operators is not None
    assert all(operators.at + 4 <= at < operators.at + 4 + 4 * len(operators) for at in changed)

    assert strip(planned) == bare
    assert with_plan(original, plan) == planned
    assert with_plan(planned, plan) == planned


def test_a_file_without_metadata_gets_some() -> None:
    original = chain()
    assert tflite.Model.GetRootAs(original, 0).MetadataLength() == 0
    planned = with_plan(original, FilePlan((0, 1), (0, 16, 32, -1)))
    assert read_tflite(planned, {}).origin.metadata[OFFLINE_PLAN] == struct.pack("<7i", 1, 1, 4, 0, 16, 32, -1)
    assert strip(planned) == original


def test_another_tool_s_plan_is_taken_out_and_nothing_else() -> None:
    planned = with_plan(chain(), FilePlan((1, 0), (0, 16, 32, 48)))
    foreign = planned.replace(OWN_RECORD.encode(), b"another.note")
    stripped = read_tflite(strip(foreign), {})
    assert list(stripped.origin.metadata) == ["another.note"]
    assert [op.outputs for op in stripped.ops] == [(3,), (2,)]
    assert len(strip(foreign)) == len(foreign)


def test_the_order_comes_back_even_where_the_file_was_edited_since() -> None:
    planned = with_plan(chain(), FilePlan((1, 0), (0, 16, 32, 48)))
    edited = planned.replace(b"test", b"TEST")
    assert edited != planned
    stripped = read_tflite(strip(edited), {})
    assert not carries_plan(stripped.origin.metadata)
    assert [op.outputs for op in stripped.ops] == [(2,), (3,)]
    assert stripped.origin.description == "TEST"


def test_unknown_fields_of_the_root_are_refused_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite, "ModelStart", lambda builder: builder.StartObject(9))
    monkeypatch.setattr(
        tflite, "ModelEnd", lambda builder: (builder.PrependInt32Slot(8, 64, 0), builder.EndObject())[1]
    )
    with pytest.raises(ModelError, match="fields that this version does not know"):
        with_plan(chain(), FilePlan((0, 1), (0, 16, 32, 48)))


def test_unknown_fields_of_inner_tables_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite, "SubGraphStart", lambda builder: builder.StartObject(12))
    monkeypatch.setattr(
        tflite, "SubGraphEnd", lambda builder: (builder.PrependInt32Slot(11, 12345, 0), builder.EndObject())[1]
    )
    planned = with_plan(chain(), FilePlan((1, 0), (0, 16, 32, 48)))
    graph = Table(planned, follow(planned, 0)).vector(2)
    assert graph is not None and graph.tables()[0].scalar(11, "i") == 12345


def test_a_model_cut_off_after_some_operators() -> None:
    cut = read_tflite(first_operators(chain(), 1, 2), {})
    assert [op.outputs for op in cut.ops] == [(2,)]
    assert set(cut.outputs) == {2}
    with pytest.raises(ModelError):
        first_operators(chain(), 3, 2)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_give_one_error(data: st.DataObject) -> None:
    planned = bytearray(with_plan(chain(), FilePlan((1, 0), (0, 16, 32, 48))))
    for _ in range(data.draw(st.integers(1, 4))):
        planned[data.draw(st.integers(0, len(planned) - 1))] = data.draw(st.integers(0, 255))
    for work in (strip, lambda octets: with_plan(octets, FilePlan((1, 0), (0, 16, 32, 48)))):
        try:
            work(bytes(planned[: data.draw(st.integers(8, len(planned)))]))
        except ModelError as error:
            assert "\n" not in str(error)


@needs_shared
def test_vela_s_plan_is_recognised() -> None:
    path = model("himax_kwt1_vela").path
    graph = read_tflite(path.read_bytes(), {})
    assert carries_plan(graph.origin.metadata) and not is_own(graph.origin.metadata)
    assert not carries_plan(read_tflite(strip(path.read_bytes()), {}).origin.metadata)
