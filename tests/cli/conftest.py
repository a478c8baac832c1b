"""The command line without the rooms below it: models are names, devices are stand-ins, results are hand-made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from mcuprof.cli import pipeline
from mcuprof.cli.options import Request
from mcuprof.document import Result
from mcuprof.errors import DeviceError, ModelError, UsageError
from mcuprof.limits import ReadLimits
from tests.documents import NO_DEVICE, RESULT, TOOL, detailed


@dataclass
class Engine:
    """What the stand-ins were asked for, and what a model of a given name does instead of being analysed."""

    read: list[tuple[str, Mapping[str, tuple[int, ...]]]] = field(default_factory=list)
    loaded: list[tuple[str, int | None]] = field(default_factory=list)
    requests: list[tuple[Request, bool]] = field(default_factory=list)
    behaviour: dict[str, Callable[[Result], Result]] = field(default_factory=dict)


def fails(error: BaseException) -> Callable[[Result], Result]:
    """A behaviour: raise `error`."""

    def behaviour(result: Result) -> Result:
        raise error

    return behaviour


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()

    def read_model(path: str, shapes: Mapping[str, tuple[int, ...]], limits: ReadLimits) -> Any:
        made.read.append((path, shapes))
        if path.startswith("broken"):
            raise ModelError(f"{path}: not a model")
        return path

    def load_target(name: str, clock_hz: int | None) -> Any:
        made.loaded.append((name, clock_hz))
        if name == "nowhere":
            raise DeviceError("unknown device 'nowhere'")
        return SimpleNamespace(id=name)

    def analyze_model(graph: Any, device: Any, request: Request, detail: bool) -> Result:
        made.requests.append((request, detail))
        result = NO_DEVICE if device is None else RESULT
        result = msgspec.structs.replace(result, model=msgspec.structs.replace(result.model, path=graph))
        if graph in made.behaviour:
            result = made.behaviour[graph](result)
        return detailed(result) if detail else result

    monkeypatch.setattr(pipeline, "read_model", read_model)
    monkeypatch.setattr(pipeline, "load_target", load_target)
    monkeypatch.setattr(pipeline, "analyze_model", analyze_model)
    monkeypatch.setattr(pipeline, "tool", lambda: TOOL)
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"):
        monkeypatch.delenv(variable, raising=False)
    made.behaviour["unsupported.tflite"] = fails(UsageError("no kernels 'x' for this runtime"))
    return made
