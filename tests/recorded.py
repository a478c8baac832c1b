"""What tflite-micro's recording allocator says of a model."""

from __future__ import annotations

import os
import re
import tempfile
from importlib import import_module
from typing import NamedTuple


class Recorded(NamedTuple):
    """Bytes of head and total, and bytes and number of the buffers that kernels keep for good."""

    head: int
    total: int
    buffer_bytes: int
    buffers: int


def recorded(data: bytes) -> Recorded:
    """Loads the model and reads the report that the allocator prints on stderr. Raises RuntimeError as the runtime."""
    runtime = import_module("tflite_micro.python.tflite_micro.runtime")
    interpreter = runtime.Interpreter.from_bytes(
        data, arena_size=1 << 22, intrepreter_config=runtime.InterpreterConfig.kAllocationRecording
    )
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        text = file.read().decode()
    head, total = (re.search(rf"Arena allocation {what} (\d+) bytes", text) for what in ("head", "total"))
    buffers = re.search(r"'Persistent buffer data' .*requested (\d+) bytes for (\d+) allocations", text)
    assert head and total, text
    kept = (int(buffers[1]), int(buffers[2])) if buffers else (0, 0)
    return Recorded(int(head[1]), int(total[1]), *kept)
