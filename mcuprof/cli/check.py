"""`mcuprof check`: does it fit?"""

from __future__ import annotations

from mcuprof.cli.options import Parser, add_analysis_options, add_output_options, add_verbosity_options
from mcuprof.cli.pipeline import conclude


def run(arguments: list[str]) -> int:
    """Judge every model for every device; exit code 0 when all fit."""
    parser = Parser("check", "Does it fit? One block of at most 15 lines per model and device, verdict first.")
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite or .onnx file")
    add_analysis_options(parser)
    add_output_options(parser)
    add_verbosity_options(parser)
    options = parser.parse_intermixed_args(arguments)
    return conclude(options, options.models, detail=False)
