"""Arrays for a graph's inputs: random by seed, from files, or given by the caller; checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np

from mcuprof.errors import ModelError, UsageError
from mcuprof.graph import Graph, Tensor
from mcuprof.ops.kernel import Array, NoKernel, storage

Given: TypeAlias = "Mapping[str, Array] | Sequence[Array] | Array"


def random_inputs(graph: Graph, seed: int) -> dict[int, Array]:
    """Uniform over the whole range of 8- and 16-bit types, 0 … 9 for wider integers, standard normal for floats."""
    rng = np.random.default_rng(seed)
    return {index: _random(graph.tensors[index], rng) for index in graph.inputs if not graph.tensors[index].is_constant}


def _random(tensor: Tensor, rng: np.random.Generator) -> Array:
    dtype = _dtype(tensor)
    if dtype.kind == "f":
        return rng.standard_normal(tensor.shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, tensor.shape).astype(dtype)
    if dtype.kind not in "iu":
        raise ModelError(f"input {tensor.name!r} is of type {tensor.dtype.value}, which cannot be made at random")
    if dtype.itemsize > 2:
        return rng.integers(0, 10, tensor.shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, tensor.shape, dtype=dtype, endpoint=True)


def checked(graph: Graph, given: Given) -> dict[int, Array]:
    """The caller's arrays by tensor index: by name, by position, or one array for the only input.

    Raises UsageError for a missing or unknown input, a wrong shape or type, and NaN or infinity.
    """
    wanted = [index for index in graph.inputs if not graph.tensors[index].is_constant]
    names = [graph.tensors[index].name for index in wanted]
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise UsageError(f"no input is named {unknown[0]!r} (inputs: {', '.join(map(repr, names))})")
        absent = [name for name in names if name not in given]
        if absent:
            raise UsageError(f"input {absent[0]!r} is missing")
        arrays: list[Any] = [given[name] for name in names]
    else:
        arrays = [given] if isinstance(given, np.ndarray) else list(given)
        if len(arrays) != len(wanted):
            raise UsageError(f"{len(arrays)} arrays for {len(wanted)} inputs ({', '.join(map(repr, names))})")
    return {index: fit(graph.tensors[index], array) for index, array in zip(wanted, arrays, strict=True)}


def fit(tensor: Tensor, array: Any) -> Array:
    """The array when it has the tensor's type and element count (its shape may differ by axes of length 1)."""
    array = np.asarray(array)
    dtype = _dtype(tensor)
    if array.dtype != dtype:
        raise UsageError(f"input {tensor.name!r} must be {dtype}, not {array.dtype}")
    if [size for size in array.shape if size != 1] != [size for size in tensor.shape if size != 1]:
        raise UsageError(f"input {tensor.name!r} must be {_dims(tensor.shape)}, not {_dims(array.shape)}")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"input {tensor.name!r} holds NaN or infinity")
    return array.reshape(tensor.shape)


def load_inputs(graph: Graph, path: Path) -> list[dict[int, Array]]:
    """Input sets from a file or a directory of files, in name order.

    `.npz`: one array per input name; `.npy`: the only input; `.bin`: the inputs' bytes one after the other, in order.
    One leading axis more than the input has means that many sets. Raises UsageError.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".npz", ".npy", ".bin"))
        if not files:
            raise UsageError(f"{path}: holds no .npz, .npy or .bin file")
        return [one for file in files for one in load_inputs(graph, file)]
    try:
        return _load_file(graph, path)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, EOFError, KeyError, BadZipFile) as error:
        raise UsageError(f"{path}: is not a readable {path.suffix} file ({error})") from None


def _load_file(graph: Graph, path: Path) -> list[dict[int, Array]]:
    tensors = [graph.tensors[index] for index in graph.inputs if not graph.tensors[index].is_constant]
    if path.suffix == ".bin":
        return _from_bytes(graph, tensors, path.read_bytes())
    loaded = np.load(path, allow_pickle=False)
    arrays = dict(loaded) if path.suffix == ".npz" else [loaded]
    by_name = arrays if isinstance(arrays, dict) else {tensors[0].name: arrays[0]} if len(tensors) == 1 else {}
    if not isinstance(arrays, dict) and len(tensors) != 1:
        raise UsageError(f"holds one array, the model has {len(tensors)} inputs")
    stacked = {t.name: by_name[t.name].ndim == len(t.shape) + 1 for t in tensors if t.name in by_name}
    if stacked and all(stacked.values()):
        count = min(len(array) for array in by_name.values())
        return [checked(graph, {name: array[i] for name, array in by_name.items()}) for i in range(count)]
    return [checked(graph, by_name)]


def _from_bytes(graph: Graph, tensors: list[Tensor], data: bytes) -> list[dict[int, Array]]:
    one = sum(tensor.elements * _dtype(tensor).itemsize for tensor in tensors)
    if not one or not data or len(data) % one:
        raise UsageError(f"holds {len(data):,} bytes; one set of inputs takes {one:,}")
    sets = []
    for start in range(0, len(data), one):
        arrays, at = [], start
        for tensor in tensors:
            arrays.append(np.frombuffer(data, _dtype(tensor), tensor.elements, at).reshape(tensor.shape))
            at += arrays[-1].nbytes
        sets.append(checked(graph, arrays))
    return sets


def _dtype(tensor: Tensor) -> np.dtype[Any]:
    try:
        return storage(tensor.dtype)
    except NoKernel:
        raise ModelError(f"input {tensor.name!r} is of type {tensor.dtype.value}, which cannot be executed") from None


def _dims(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
