"""`mcuprof report`: render a stored result."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from mcuprof.cli import output
from mcuprof.cli.options import Parser, add_output_options
from mcuprof.cli.pipeline import spare
from mcuprof.document import Report, decode, json_schema
from mcuprof.errors import EXIT_FITS, UsageError


def run(arguments: list[str]) -> int:
    """Render the document as the command that made it did; 0 whatever its verdict, which was given before."""
    parser = Parser("report", "Render a result that was stored with -f json, or print the JSON Schema of results.")
    parser.add_argument("result", nargs="?", metavar="RESULT.json", help="- reads standard input")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema instead")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    if options.schema == (options.result is not None):
        parser.error("name a RESULT.json, or ask for --schema")
    if options.schema:
        text = json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
        if options.output is None or options.output == "-":
            output.write(text)
        else:
            output.write_file(options.output, text)
        return EXIT_FITS
    spare(options.output, [options.result], "the stored result")
    report = _read(options.result)
    output.publish(report, options.format, options.output, options.color, detail=_is_detailed(report))
    return EXIT_FITS


def _read(name: str) -> Report:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {name}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None
    try:
        return decode(data)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _is_detailed(report: Report) -> bool:
    """`analyze` made it: it has what only `analyze` fills."""
    memories = [result.memory for result in report.results]
    return any(not isinstance(memory.plan, msgspec.UnsetType) for memory in memories)
