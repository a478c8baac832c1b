"""From a rewritten graph to a file of its own: whether anything of the user's would be lost, and what the reader finds.

Whatever is then planned and proven is the graph that the file holds, not the one that was rewritten.
"""

from __future__ import annotations

import io
import zipfile

from mcuprof.graph import Graph
from mcuprof.readers.tflite import read_tflite
from mcuprof.writers.tflite_model import refusal, to_tflite


def loss(graph: Graph, data: bytes) -> str | None:
    """Why `graph` (what the reader made of `data`) cannot be written anew without loss; None when it can."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        return "files (labels) are packed behind the model"
    return refusal(graph)


def rewritten(graph: Graph) -> tuple[Graph, bytes]:
    """What the reader makes of the graph once it is written, and the file."""
    data = to_tflite(graph)
    return read_tflite(data, {}), data
