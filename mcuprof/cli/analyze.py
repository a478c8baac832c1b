"""`mcuprof analyze`: everything there is to say."""

from __future__ import annotations

from mcuprof.cli import plan_split
from mcuprof.cli.options import (
    IO,
    Parser,
    add_analysis_options,
    add_output_options,
    add_policy_options,
    add_verbosity_options,
    as_type,
    parse_rates,
    request_of,
)
from mcuprof.cli.pipeline import conclude


def run(arguments: list[str]) -> int:
    """Analyse one model in detail; exit code 0 when it fits."""
    parser = Parser("analyze", "Everything: memory timeline, orders and strategies, cost per layer, flash bill.")
    parser.add_argument("model", metavar="MODEL", help=".tflite or .onnx file")
    parser.add_argument("--split", action="store_true", help="also what splitting offers: arena against work (.tflite)")
    add_analysis_options(parser)
    parser.add_argument(
        "--io",
        choices=IO,
        default=IO[0],
        help="where orders and strategies have inputs and outputs (default: in-arena)",
    )
    parser.add_argument(
        "--exit-rates",
        type=as_type(parse_rates),
        default=(),
        metavar="RATE,RATE",
        help="early exits: the share of inferences that stops at each output, in the order of the outputs",
    )
    add_policy_options(parser)
    add_output_options(parser)
    add_verbosity_options(parser)
    options = parser.parse_intermixed_args(arguments)
    amend = plan_split.offered if options.split else None
    return conclude(options, [request_of(options, [options.model])], detail=True, amend=amend)
