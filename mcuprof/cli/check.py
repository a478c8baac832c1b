"""`mcuprof check`: does it fit?"""

from __future__ import annotations

from mcuprof.cli import output
from mcuprof.cli.jobs import requests_of
from mcuprof.cli.options import (
    Parser,
    add_analysis_options,
    add_config_options,
    add_output_options,
    add_policy_options,
    add_verbosity_options,
)
from mcuprof.cli.pipeline import conclude

_DESCRIPTION = (
    "Does it fit? One block of at most 15 lines per model and device, verdict first. Without a model: all models of "
    "the nearest mcuprof.toml (or [tool.mcuprof] in pyproject.toml) for all of their targets. Models that the config "
    "names are judged for its targets, others for the devices of -d."
)


def run(arguments: list[str]) -> int:
    """Judge every model for every device; exit code 0 when all fit."""
    parser = Parser("check", _DESCRIPTION)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=".tflite or .onnx file (default: the config's)")
    add_analysis_options(parser)
    add_config_options(parser)
    add_policy_options(parser)
    add_output_options(parser)
    add_verbosity_options(parser)
    options = parser.parse_intermixed_args(arguments)
    requests, _ = requests_of(options, options.models, output.tell)
    return conclude(options, requests, detail=False)
