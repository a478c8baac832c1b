"""`mcuprof fit`: on which devices does it fit?"""

from __future__ import annotations

from pathlib import Path

from mcuprof.budgets import Limits, fit
from mcuprof.cli import output
from mcuprof.cli.options import Parser, add_input_shape_option, add_limit_option, as_type, reading_limits
from mcuprof.cli.pipeline import read_model, spare_models, tool
from mcuprof.errors import EXIT_FAILED, EXIT_FITS, McuprofError, UsageError
from mcuprof.fit_document import FitReport
from mcuprof.report.fit import FIT_FORMATS, render_fit
from mcuprof.report.page import Page
from mcuprof.units import parse_size, parse_time_ms

COUNT = 15


def run(arguments: list[str]) -> int:
    """Judge every model for every device of the database; exit code 1 when one fits nowhere."""
    parser = Parser("fit", "On which devices does it fit, smallest first, and what do the nearest others lack?")
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite or .onnx file")
    filters = parser.add_argument_group("devices")
    filters.add_argument("--vendor", help="part of the vendor's name")
    filters.add_argument("--core", help="part of the id of the core that is judged, such as m4")
    filters.add_argument("--min-ram", type=as_type(parse_size), metavar="SIZE", help="at least this much on-chip RAM")
    filters.add_argument("--accelerator", help="part of the accelerator's id, such as ethos-u55")
    filters.add_argument("--parts", action="store_true", help="also the parts that only the part map knows")
    target = parser.add_argument_group("target")
    target.add_argument("--runtime", default="tflm", help="default: tflm")
    target.add_argument("--kernels", help="kernel library (default: what each device's vendor ships)")
    target.add_argument("--latency", type=as_type(parse_time_ms), metavar="TIME", help="budget, such as 50ms")
    target.add_argument("--reserve-ram", type=as_type(parse_size), metavar="SIZE", help="RAM the firmware keeps")
    add_input_shape_option(target)
    add_limit_option(target)
    group = parser.add_argument_group("output")
    group.add_argument("-f", "--format", choices=FIT_FORMATS, default="text", help="default: text")
    group.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")
    group.add_argument("--all", action="store_true", help=f"list all devices (default: {COUNT} of each kind)")
    group.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: auto")
    options = parser.parse_intermixed_args(arguments)

    spare_models(options.output, options.models)
    for name in ("vendor", "core", "accelerator"):
        if getattr(options, name) == "":
            raise UsageError(f"--{name} is empty")
    from mcuprof.analysis import Options
    from mcuprof.hardware import list_devices, list_parts

    filtered = (options.vendor, options.core, options.min_ram, options.accelerator)
    found_devices = list_devices(*filtered) + (list_parts(*filtered) if options.parts else [])
    # A second core is not the one that is judged.
    core = (options.core or "").lower()
    devices = [device for device in found_devices if core in device.core.id.lower()]
    if not devices:
        raise UsageError("no device is left after the filters")
    settings = Options(runtime=options.runtime, kernels=options.kernels)
    limits = Limits(latency_ms=options.latency, reserve_ram_bytes=options.reserve_ram)
    found, code = [], EXIT_FITS
    for path in dict.fromkeys(options.models):
        try:
            model = fit(read_model(path, dict(options.input_shape), reading_limits(options)), devices, settings, limits)
        except McuprofError as error:
            message = str(error)
            output.complain(message if message.startswith((path, str(Path(path)))) else f"{path}: {message}")
            code = max(code, error.exit_code)
            continue
        found.append(model)
        if all(each.status != "fits" for each in model.devices):
            code = max(code, EXIT_FAILED)
    if found:
        report = FitReport(tool(), tuple(found))
        _publish(report, options.format, options.output, options.color, None if options.all else COUNT)
    return code


def _publish(report: FitReport, format: str, target: str | None, color: output.Color, count: int | None) -> None:
    if target is None or target == "-":
        width = max(output.terminal_width(), 40)
        page = Page(width, output.wants_color(color), output.takes_unicode())
        output.write(render_fit(report, format, page, count))
    else:
        output.write_file(target, render_fit(report, format, Page(color=color == "always"), count))
