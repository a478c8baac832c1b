"""The numbers of the schema against the accessors that flatc generated from it (the `tflite` package)."""

from __future__ import annotations

import struct
from typing import Any

import flatbuffers
import pytest
import tflite

from mcuprof.readers.tflite_options import OPTIONS
from mcuprof.readers.tflite_schema import OPERATORS, TABLES

FIELDS = [(table, accessor) for table, (_, fields) in TABLES.items() for accessor in fields]
SAMPLES = {"b": 5, "?": True, "i": 123_456, "f": 0.375}


def test_operators_are_the_schemas_in_its_order() -> None:
    numbers = {name: number for name, number in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}
    assert sorted(numbers, key=lambda name: numbers[name]) == list(OPERATORS)
    assert sorted(numbers.values()) == list(range(len(OPERATORS)))


def test_options_tables_have_the_schemas_numbers() -> None:
    assert {name: number for name, (number, _) in TABLES.items()} == {
        name: getattr(tflite.BuiltinOptions, name) for name in TABLES
    }


def test_every_option_has_its_field() -> None:
    missing = [
        (kind, accessor)
        for kind, (table, accessors) in OPTIONS.items()
        for accessor in accessors.values()
        if accessor not in TABLES[table][1]
    ]
    assert missing == []


@pytest.mark.parametrize(("table", "accessor"), FIELDS, ids=[".".join(field) for field in FIELDS])
def test_fields_lie_where_the_generated_accessors_look(table: str, accessor: str) -> None:
    slot, form, absent = TABLES[table][1][accessor]
    if form == "[i]":
        assert _get(_build(slot, None, form), table, f"{accessor}Length") == 0
        assert _get(_build(slot, (3, -1), form), table, f"{accessor}AsNumpy").tolist() == [3, -1]
        return
    assert _get(_build(slot, None, form), table, accessor) == absent
    if form in SAMPLES:
        value = SAMPLES[form] if absent is not True else False
        assert _get(_build(slot, value, form), table, accessor) == value
    else:
        assert _get(_build(slot, "name", form), table, accessor) == b"name"


def _build(slot: int, value: object, form: str) -> bytes:
    """A file whose root table has `value` in `slot` and nothing else."""
    builder = flatbuffers.Builder(0)
    reference = None
    if form == "s" and isinstance(value, str):
        reference = builder.CreateString(value)
    if form == "[i]" and isinstance(value, tuple):
        builder.StartVector(4, len(value), 4)
        for item in reversed(value):
            builder.PrependInt32(item)
        reference = builder.EndVector()
    builder.StartObject(16)
    if reference is not None:
        builder.PrependUOffsetTRelativeSlot(slot, reference, 0)
    elif value is not None:
        prepend = {"b": "Int8", "?": "Bool", "i": "Int32", "f": "Float32"}[form]
        getattr(builder, f"Prepend{prepend}Slot")(slot, value, None)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _get(data: bytes, table: str, accessor: str) -> Any:
    options = getattr(tflite, table)()
    options.Init(data, struct.unpack_from("<I", data)[0])
    return getattr(options, accessor)()
