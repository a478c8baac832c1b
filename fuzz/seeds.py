"""What mutation starts from: the small files of `samples/`, which the repository builds itself."""

from __future__ import annotations

from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
MAX_BYTES = 64 * 1024  # weights are the larger part of larger files, and their bytes break nothing
FORMATS = ("tflite", "onnx")


def seeds(form: str) -> tuple[bytes, ...]:
    """The content of the samples in this format, smallest first."""
    files = (path.read_bytes() for path in SAMPLES.glob(f"*.{form}"))
    return tuple(sorted((data for data in files if len(data) <= MAX_BYTES), key=lambda data: (len(data), data)))
