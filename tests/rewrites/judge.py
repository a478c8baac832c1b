"""A rewritten graph, written to a file and run by another runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mcuprof.graph import Graph
from mcuprof.readers import read
from mcuprof.runner.oracles import Oracle, open_oracle
from mcuprof.writers.tflite_model import to_tflite


def on_tflm(graph: Graph) -> Oracle:
    """tflite-micro with this graph; skips where it is not installed."""
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    return _opened("tflm", graph)


def on_litert(graph: Graph) -> Oracle:
    """LiteRT with this graph; skips where it is not installed."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    return _opened("litert", graph)


def _opened(name: str, graph: Graph) -> Oracle:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(to_tflite(graph))
        return open_oracle(name, read(path))
