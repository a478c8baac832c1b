"""Rows as files: Parquet, CSV, JSON lines. The same rows give the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import get_args, get_type_hints

import msgspec

from mcuprof.errors import UsageError
from mcuprof.sweep.rows import COLUMNS, Row

Writer = Callable[[Sequence[Row]], bytes]


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """RFC 4180 with a header, UTF-8; null is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = (getattr(row, name) for name in COLUMNS)
        writer.writerow(["" if v is None else str(v).lower() if isinstance(v, bool) else v for v in values])
    return text.getvalue().encode("utf-8", "backslashreplace")


def json_lines(rows: Sequence[Row]) -> bytes:
    """One JSON object per row and line."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """Apache Parquet. Raises UsageError when pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install 'mcuprof[parquet]'") from None
    types = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in column_types().items()])
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(columns, schema), sink)
    return sink.getvalue()


def column_types() -> Mapping[str, type]:
    """Column → int, float, bool or str."""
    hints = get_type_hints(Row)
    found: dict[str, type] = {}
    for name in COLUMNS:
        kinds = [kind for kind in get_args(hints[name]) or (hints[name],) if kind is not type(None)]
        found[name] = kinds[0] if isinstance(kinds[0], type) else str  # status is one of some words
    return found


TABLES: Mapping[str, Writer] = MappingProxyType({"csv": csv_bytes, "jsonl": json_lines, "parquet": parquet_bytes})


def format_of(name: str) -> str | None:
    """The format that a file's suffix names, or None."""
    return {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}.get(Path(name).suffix.lower())
