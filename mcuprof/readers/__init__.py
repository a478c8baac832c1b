"""Floor 2: model files to `Graph`. One module per format; this one decides by content which of them reads a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mcuprof.errors import ModelError
from mcuprof.graph import Graph, Shape
from mcuprof.limits import DEFAULT, ReadLimits, check_limit
from mcuprof.ops import propagate_shapes
from mcuprof.ops.operands import check_operands
from mcuprof.readers.extent import check_graph
from mcuprof.readers.oddities import oddities

_PIECE = 16 * 1024**2
_FOREIGN = (
    (b"version https://git-lfs", "a git-LFS pointer, not the model: run `git lfs pull`"),
    (b"\x1f\x8b", "gzip-compressed: unpack it first"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"\x89HDF", "an HDF5 (Keras) file: convert it to .tflite or .onnx"),
    (b"\x89PNG", "a PNG picture"),
    (b"<!DOCTYPE", "an HTML page, probably a failed download"),
    (b"<html", "an HTML page, probably a failed download"),
)


def read(path: Path | str, *, input_shapes: Mapping[str, Shape] | None = None, limits: ReadLimits = DEFAULT) -> Graph:
    """The network in a `.tflite` or `.onnx` file; the content decides, not the suffix.

    `input_shapes` gives shapes to inputs whose dimensions the file leaves open; `limits` says how large a model may
    be (what `--limit` raises). Raises ModelError with one line that
    names the file and the reason.
    """
    path = Path(path)
    try:
        return _parse(_load(path, limits), path, dict(input_shapes or {}), limits)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error.__cause__


def _load(path: Path, limits: ReadLimits) -> bytes:
    try:
        if path.is_dir():
            raise ModelError("is a directory, not a model")
        with path.open("rb") as file:
            size = path.stat().st_size
            check_limit(limits, "file", size, f"is {size:,} bytes")
            # Piece by piece: `read` with a limit allocates the limit first. Pipes and devices say 0 and need not end.
            pieces, size = [], 0
            while piece := file.read(min(_PIECE, limits.file + 1 - size)):
                pieces.append(piece)
                size += len(piece)
        check_limit(limits, "file", size, f"is {size:,} bytes")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except OSError as error:
        raise ModelError(error.strerror.lower() if error.strerror else str(error)) from None
    except ValueError as error:  # a path with a null byte
        raise ModelError(str(error)) from None


def _parse(data: bytes, path: Path, input_shapes: dict[str, Shape], limits: ReadLimits) -> Graph:
    if not data:
        raise ModelError("is empty")
    for magic, what in _FOREIGN:
        if data.startswith(magic):
            raise ModelError(f"is {what}" if what.startswith(("a ", "an ")) else what)
    if data[4:8] == b"TFL3" or path.suffix.lower() == ".tflite":
        from mcuprof.readers.tflite import read_tflite

        graph = read_tflite(data, input_shapes)
        if input_shapes:
            graph = propagate_shapes(graph)
        form = "tflite"
    else:
        from mcuprof.readers.onnx import read_onnx

        graph = read_onnx(data, str(path), input_shapes, limits)
        form = "onnx"
    check_graph(graph, limits)
    check_operands(graph)
    origin = replace(
        graph.origin,
        format=form,
        path=str(path),
        nbytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        oddities=(*graph.origin.oddities, *oddities(graph, form, path.suffix)),
    )
    return replace(graph, origin=origin)
