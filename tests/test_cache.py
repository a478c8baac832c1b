from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcuprof import cache as module
from mcuprof.cache import Cache, cache_folder
from tests.documents import RESULT, detailed


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + b"location")
    return str(path)


@pytest.fixture
def cache(tmp_path: Path, warnings: list[str]) -> Cache:
    return Cache(tmp_path / "cache", warnings.append)


def key(cache: Cache, model: str, facts: object = "x") -> str:
    found = cache.key(model, facts)
    assert found is not None
    return found


def test_what_was_put_comes_back(cache: Cache, model: str, tmp_path: Path) -> None:
    name = key(cache, model)
    assert cache.get(name) is None
    cache.put(name, detailed(RESULT))
    assert cache.get(name) == detailed(RESULT)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [f"{name}.json"]


def test_everything_the_result_depends_on_is_in_the_key(
    cache: Cache, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {key(cache, model), key(cache, model, "y")}
    other = tmp_path / "other.tflite"
    other.write_bytes(Path(model).read_bytes())
    names.add(key(cache, str(other)))
    other.write_bytes(b"\x1c\0\0\0TFL3" + b"!")
    names.add(key(cache, str(other)))
    monkeypatch.setattr("mcuprof.__version__", "9.9.9")
    names.add(key(Cache(tmp_path, print), model))
    monkeypatch.setattr("mcuprof.hardware.device_db_version", lambda: "other")
    names.add(key(Cache(tmp_path, print), model))
    assert len(names) == 6


def test_what_cannot_be_cached(cache: Cache, tmp_path: Path, model: str) -> None:
    assert cache.key(str(tmp_path / "nothing"), "x") is None
    assert cache.key("nul\0l", "x") is None
    onnx = tmp_path / "m.onnx"
    onnx.write_bytes(b"\x08\x08" + b"location\x12\x07w.bin")  # weights in another file
    assert cache.key(str(onnx), "x") is None
    onnx.write_bytes(b"\x08\x08")
    assert cache.key(str(onnx), "x") is not None


@pytest.mark.parametrize("damage", [b"", b"x", b"\xff\xfe\n{}", b"\n", b"0" * 64 + b"\n{}"])
def test_a_corrupt_entry_is_ignored_with_one_line(
    cache: Cache, model: str, tmp_path: Path, warnings: list[str], damage: bytes
) -> None:
    name = key(cache, model)
    cache.put(name, RESULT)
    (tmp_path / "cache" / f"{name}.json").write_bytes(damage)
    assert cache.get(name) is None
    assert len(warnings) == 1 and "is ignored" in warnings[0] and "\n" not in warnings[0]
    assert cache.get(name) is None and len(warnings) == 1  # and it is gone
    cache.put(name, RESULT)
    assert cache.get(name) == RESULT


def test_half_an_entry_is_none(cache: Cache, model: str, tmp_path: Path, warnings: list[str]) -> None:
    name = key(cache, model)
    cache.put(name, RESULT)
    path = tmp_path / "cache" / f"{name}.json"
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.get(name) is None and len(warnings) == 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, model: str, warnings: list[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file" / "below", warnings.append)
    cache.put(key(cache, model), RESULT)
    assert cache.get(key(cache, model)) is None and warnings == []


def test_it_does_not_grow_for_ever(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 10)
    names = [key(cache, model, index) for index in range(11)]
    for age, name in enumerate(names):
        cache.put(name, RESULT)
        path = tmp_path / "cache" / f"{name}.json"
        if path.exists():
            os.utime(path, (age, age))
    assert [cache.get(name) is not None for name in names] == [False] * 5 + [True] * 6


def test_where_it_lies(tmp_path: Path) -> None:
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "mcuprof"
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "mcuprof"
