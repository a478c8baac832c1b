"""`mcuprof ops`: a model's operators, whether the runtime has them, and the code that registers them."""

from __future__ import annotations

from collections import Counter

import msgspec

from mcuprof.cli import output
from mcuprof.cli.options import Parser, add_limit_option, reading_limits
from mcuprof.cli.pipeline import load_target, read_model
from mcuprof.errors import EXIT_FITS
from mcuprof.graph import Graph
from mcuprof.hardware import Device
from mcuprof.ops.soundness import NPU
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import INDENT, prose
from mcuprof.report.table import Column, table

# What the support tables were read from (tflite-micro, August 2026).
TFLM_REVISION = "90b983c (2026-08-20)"


class OperatorUse(msgspec.Struct, frozen=True):
    """One operator kind: the versions in the file, how often it occurs, and why TFLM refuses it (None: it runs it)."""

    operator: str
    versions: tuple[int, ...]
    count: int
    first: int
    refused: str | None


def run(arguments: list[str]) -> int:
    """List the operators; the exit code is 0 whether or not the runtime has them."""
    parser = Parser("ops", "Operators with versions, what TFLM says of each, and a resolver for exactly these.")
    parser.add_argument("model", metavar="MODEL", help=".tflite or .onnx file")
    parser.add_argument(
        "-d", "--device", metavar="DEVICE", help="see mcuprof devices; decides on accelerator operators"
    )
    parser.add_argument("-f", "--format", choices=("text", "json"), default="text", help="default: text")
    add_limit_option(parser)
    options = parser.parse_intermixed_args(arguments)
    from mcuprof.runtimes.tflm.resolver import resolver

    device = None if options.device is None else load_target(options.device, None)
    graph = read_model(options.model, {}, reading_limits(options))
    found = _uses(graph, device)
    code = resolver(graph)
    if options.format == "json":
        document = {"operators": found, "resolver": code, "runtime": "tflm", "runtime_revision": TFLM_REVISION}
        output.write(msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2).decode() + "\n")
    else:
        page = output.own_page()
        output.write(page.paint(_listed(page, options.model, found)) + "\n" + code)
    return EXIT_FITS


def _uses(graph: Graph, device: Device | None) -> list[OperatorUse]:
    """One entry per kind, in order of appearance; the first reason for refusal found among its operators."""
    from mcuprof.runtimes.tflm.support import refusal

    counts: Counter[str] = Counter()
    versions: dict[str, set[int]] = {}
    first: dict[str, int] = {}
    refused: dict[str, str] = {}
    for part in (graph, *graph.subgraphs):
        for number, op in enumerate(part.ops):
            counts[op.kind] += 1
            versions.setdefault(op.kind, set()).add(op.version)
            first.setdefault(op.kind, number)
            reason = refusal(part, op)
            if op.kind == NPU and not (device and (device.accelerator or "").startswith("ethos-u")):
                reason = "it was compiled for an Ethos-U: name a device that has one"
            if reason is not None:
                refused.setdefault(op.kind, f"operator {number}: {reason}")
    return [
        OperatorUse(kind, tuple(sorted(versions[kind])), count, first[kind], refused.get(kind))
        for kind, count in counts.items()
    ]


def _listed(page: Page, model: str, found: list[OperatorUse]) -> list[Line]:
    heads = (
        Column("operator", flexible=12),
        Column("version", right=True, drop=2),
        Column("count", right=True, drop=1),
        Column(f"TFLM {TFLM_REVISION}"),
    )
    rows = [
        (page.clean(use.operator), ", ".join(map(str, use.versions)), str(use.count), "no" if use.refused else "yes")
        for use in found
    ]
    refused = [use for use in found if use.refused]
    verdict = f"TFLM refuses {len(refused)} of {len(found)} kinds" if refused else "TFLM has all of them"
    return [
        line(Piece(page.fit(page.clean(model), page.width), "strong")),
        *table(page, heads, rows),
        line(INDENT, Piece(verdict, "bad" if refused else "good")),
        *(row for use in refused for row in prose(page, "no", f"{use.operator}: {use.refused}", limit=None)),
    ]
