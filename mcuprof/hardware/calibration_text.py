"""Putting a calibration into the text of a device file; everything else in it stays as its author wrote it."""

from __future__ import annotations

import re
from pathlib import Path

from mcuprof.errors import DeviceError
from mcuprof.hardware.device import Calibration
from mcuprof.hardware.files import DeviceFile, parse
from mcuprof.hardware.resolve import check
from mcuprof.hardware.toml_text import key_value, quoted

_NOTE = "# Written by `mcuprof calibrate`: cycles = cpi * sum(factor * (instructions + instructions_per_operator))."
# A table reaches to the next one, or to a comment that is not ours.
_TABLE = re.compile(
    rf"^[ \t]*\[calibration(?:\.[^\]\n]*)?\][^\n]*\n(?:{re.escape(_NOTE)}\n)?(?:(?![ \t]*[\[#])[^\n]*(?:\n|\Z))*",
    re.MULTILINE,
)


def with_calibration(text: str, calibration: Calibration, path: Path) -> str:
    """`text`, the content of a device file, with `calibration` instead of the one it has.

    Raises DeviceError when the result would not load (a calibration written in another form than ours).
    """
    kept = _TABLE.sub("", text.rstrip() + "\n").rstrip()
    new = f"{kept}\n\n{calibration_text(calibration)}"
    file, source = parse(path, new, DeviceFile)
    if problems := check(file, source):
        raise DeviceError(str(problems[0]))
    return new


def calibration_text(calibration: Calibration) -> str:
    """The tables `[calibration]` and `[calibration.factors]`."""
    own = calibration
    lines = [
        "[calibration]",
        _NOTE,
        key_value("core", own.core),
        key_value("kernels", own.kernels),
        key_value("runtime", own.runtime),
        key_value("clock", f"{own.clock_hz / 1e6:.12g}MHz"),
        f"cpi = {_number(own.cpi)}",
        f"instructions_per_operator = {_number(own.instructions_per_operator)}",
        f"band = {_number(own.band)}",
        f"band_elsewhere = {_number(own.band_elsewhere)}",
        f"rows = {own.rows}",
        f"models = {own.models}",
        key_value("source", own.source),
    ]
    for key, error in (("error_median", own.error_median), ("error_worst", own.error_worst)):
        if error is not None:
            lines.append(f"{key} = {error:.4f}")
    if own.factors:
        lines += ["", "[calibration.factors]"]
        lines += [f"{quoted(kernel)} = {_number(factor)}" for kernel, factor in sorted(own.factors.items())]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """Six digits, never in a form that TOML reads as an integer or not at all."""
    text = f"{value:.6g}"
    return text if "." in text or "e" in text else f"{text}.0"
