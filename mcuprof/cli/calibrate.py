"""`mcuprof calibrate`: a device's latency from the user's own measurements."""

from __future__ import annotations

from pathlib import Path

from mcuprof.cli import output
from mcuprof.cli.options import Parser, as_type
from mcuprof.cli.pipeline import load_target, read_model, spare
from mcuprof.errors import EXIT_FITS, UsageError
from mcuprof.report.calibration import lines
from mcuprof.units import parse_clock_hz


def run(arguments: list[str]) -> int:
    """Refit, show how well it predicts, and store it in a device file of the user's own."""
    parser = Parser("calibrate", "Refit a device's cycles per instruction from your own runs.")
    parser.add_argument("device", metavar="DEVICE", help="of the database, or the path of a device file")
    parser.add_argument(
        "measured", nargs="+", metavar="MEASURED.csv", help="table, or what TFLM's MicroProfiler prints"
    )
    parser.add_argument("--model", metavar="MODEL", help="the model of all rows that name none")
    parser.add_argument("--kernels", help="kernel library of the runs (default: what the device's vendor ships)")
    parser.add_argument("--clock", type=as_type(parse_clock_hz), metavar="HZ", help="core clock during the runs")
    parser.add_argument("--tick-rate", type=as_type(parse_clock_hz), metavar="HZ", help="of a profile (default: clock)")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="device file to write (default: DEVICE, if it is a file)"
    )
    options = parser.parse_intermixed_args(arguments)

    from mcuprof.calibration import calibrate
    from mcuprof.costs.runs import read_runs
    from mcuprof.hardware.calibration_text import with_calibration

    device = load_target(options.device, None)
    source = _source(options.device)
    target = options.output or _own_target(options.device, device.id)
    if target != "-" and not target.endswith(".toml"):
        raise UsageError(f"-o {target}: the name of a device file ends in .toml")
    _spare(options.measured, target)
    measured = [each for name in options.measured for each in read_runs(Path(name))]
    found = calibrate(
        device,
        measured,
        lambda name: read_model(name, {}),
        model=options.model,
        kernels=options.kernels,
        clock_hz=options.clock,
        tick_hz=options.tick_rate,
    )
    text = with_calibration(source.read_text(encoding="utf-8"), found.calibration, Path(target))
    if target == "-":
        output.write(text)
        return EXIT_FITS
    output.write_file(target, text)
    page = output.own_page()
    output.write(page.paint(lines(page, found.calibration, found.prior_cpi, found.rows, target)))
    return EXIT_FITS


def _spare(measured: list[str], target: str) -> None:
    """Raises UsageError where a table is named twice, whose runs would count twice, or would be written over."""
    names = [Path(name).resolve() for name in measured]
    for name, path in zip(measured, names, strict=True):
        if names.count(path) > 1:
            raise UsageError(f"{name} is named twice")
    spare(target, measured, "the table of runs")


def _source(name: str) -> Path:
    """The device file that is copied or changed."""
    from mcuprof.hardware import database_path, find_id, is_device_path

    if is_device_path(name):
        return Path(name)
    identifier = find_id(name)
    if identifier is None:
        raise UsageError(f"{name} has no device file of its own: make one (mcuprof devices import) and name its path")
    return database_path() / "devices" / f"{identifier}.toml"


def _own_target(name: str, identifier: str) -> str:
    from mcuprof.hardware import is_device_path

    if is_device_path(name):
        return name
    target = f"{identifier}-calibrated.toml"
    if Path(target).exists():
        raise UsageError(f"{target} is there already: calibrate it (DEVICE {target}), or choose another with -o")
    return target
