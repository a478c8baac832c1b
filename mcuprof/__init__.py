"""mcuprof: will this quantized network run on that microcontroller, in how much memory, how fast?

The public API on one screen:

    graph = mcuprof.load("model.tflite")
    device = mcuprof.device("nucleo-l4r5zi")
    result = mcuprof.analyze(graph, device)          # everything, as the report document
    verdict = mcuprof.check(graph, device).verdict   # judged against the device's memory
    outputs = mcuprof.run(graph, inputs).outputs     # the bytes the device will give
    found = mcuprof.verify(graph, against="tflm")    # … compared with another runtime
    needs = mcuprof.cost_from_layers([…], device, …)  # before any file exists, thousands of times a second
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mcuprof.analysis import Options, analyze
    from mcuprof.budgets import Limits, check
    from mcuprof.hardware import list_devices as devices
    from mcuprof.hardware import load_device as device
    from mcuprof.readers import read as load
    from mcuprof.runner import run
    from mcuprof.runner.verify import verify
    from mcuprof.search import cost, cost_batch, cost_from_layers

__all__ = [
    "Limits",
    "Options",
    "__version__",
    "analyze",
    "check",
    "cost",
    "cost_batch",
    "cost_from_layers",
    "device",
    "devices",
    "load",
    "run",
    "verify",
]

# Names are resolved on first use, so that `mcuprof --help` does not wait for numpy.
_HOMES = {
    "Options": ("mcuprof.analysis", "Options"),
    "analyze": ("mcuprof.analysis", "analyze"),
    "Limits": ("mcuprof.budgets", "Limits"),
    "check": ("mcuprof.budgets", "check"),
    "cost": ("mcuprof.search", "cost"),
    "cost_batch": ("mcuprof.search", "cost_batch"),
    "cost_from_layers": ("mcuprof.search", "cost_from_layers"),
    "device": ("mcuprof.hardware", "load_device"),
    "devices": ("mcuprof.hardware", "list_devices"),
    "load": ("mcuprof.readers", "read"),
    "run": ("mcuprof.runner", "run"),
    "verify": ("mcuprof.runner.verify", "verify"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mcuprof' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
