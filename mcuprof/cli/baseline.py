"""`mcuprof baseline`: record what models take, and hold them to it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from mcuprof.budgets.baseline import Baseline, Entry, changes, compare, encode_baseline, entry_key, entry_of
from mcuprof.budgets.config_files import absolute, shown
from mcuprof.budgets.policy import fails, ignore
from mcuprof.cli import output
from mcuprof.cli.jobs import requests_of
from mcuprof.cli.options import (
    Parser,
    Request,
    add_analysis_options,
    add_config_options,
    add_output_options,
    add_policy_options,
    add_verbosity_options,
)
from mcuprof.cli.pipeline import (
    Outcome,
    evaluate,
    open_cache,
    place_name,
    read_baseline,
    spare,
    spare_inputs,
    tool,
    with_findings,
)
from mcuprof.document import Report, Result
from mcuprof.errors import EXIT_FAILED, EXIT_FITS, UsageError
from mcuprof.progress import silent
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import INDENT
from mcuprof.units import format_bytes, format_ms

DEFAULT_NAME = ".mcuprof-baseline.json"
_DESCRIPTION = (
    "update: write what the models take now. check: fail where one grew more than the ratchet allows, or is not in "
    "the baseline. prune: drop entries that no model of the config has. Models as in mcuprof check. The file is the "
    "config's `baseline`, else .mcuprof-baseline.json beside the config, else in the working directory."
)


def run(arguments: list[str]) -> int:
    """Update, check or prune the baseline."""
    parser = Parser("baseline", _DESCRIPTION)
    parser.add_argument("action", choices=("update", "check", "prune"))
    parser.add_argument("models", nargs="*", metavar="MODEL", help=".tflite or .onnx file (default: the config's)")
    parser.add_argument("--baseline", metavar="FILE", help="the baseline file")
    add_analysis_options(parser)
    add_config_options(parser)
    add_policy_options(parser)
    add_output_options(parser)
    add_verbosity_options(parser)
    options = parser.parse_intermixed_args(arguments)
    requests, path = _requests(options)
    spare_inputs(options.output, requests)
    spare(options.output, [path], "the baseline")
    old = read_baseline(path)
    if options.action == "prune":
        return _prune(options, requests, path, old)
    # The ratchet is this command's only matter: budgets and the device's capacity are those of `check`.
    plain = [replace(request, baseline=None) for request in requests]
    say = output.tell if options.verbose else silent
    outcome = evaluate(plain, False, output.complain, say, open_cache(options.no_cache))
    if options.action == "update":
        if outcome.exit_code > EXIT_FAILED:
            output.tell(f"{shown(path)} was not changed")
            return outcome.exit_code
        fresh = {_key(result, path): entry_of(result) for result in outcome.results}
        _write(options, path, old, {**old.entries, **fresh})
        return EXIT_FITS
    return _check(options, path, old, outcome)


def _requests(options: argparse.Namespace) -> tuple[list[Request], Path]:
    if options.action == "prune" and options.models:
        raise UsageError("prune takes no model: it goes by the whole config")
    requests, configs = requests_of(options, options.models, output.tell)
    if options.baseline:
        return requests, absolute(options.baseline)
    places = {config.baseline or config.path.parent / DEFAULT_NAME for config in configs} or {absolute(DEFAULT_NAME)}
    if len(places) > 1:
        raise UsageError("these models have configs with different baselines: do one at a time, or name --baseline")
    return requests, places.pop()


def _key(result: Result, path: Path) -> str:
    return entry_key(result.model.path, place_name(result), path.parent)


def _check(options: argparse.Namespace, path: Path, old: Baseline, outcome: Outcome) -> int:
    """Judge by the ratchet alone: what the models are found guilty of otherwise is the matter of `check`."""
    if not path.exists():
        raise UsageError(f"no baseline {shown(path)} (mcuprof baseline update writes it)")
    made = (old.mcuprof, old.device_db)
    if made != (tool().version, tool().device_db):
        output.tell(f"{shown(path)} was made by mcuprof {made[0]} with device database {made[1]}; figures may differ")
    judged: list[Result] = []
    failed: list[Result] = []
    for result, request in zip(outcome.results, outcome.requests, strict=True):
        bare = msgspec.structs.replace(result, verdict=msgspec.structs.replace(result.verdict, findings=()))
        where = request.spot.where() if request.spot else None
        found = compare(old.entries.get(_key(result, path)), result, request.ratchet, strict=True, where=where)
        done = ignore(with_findings(bare, found), request.ignore)
        judged.append(done)
        if fails(done, request.fail_on, request.ignore):
            failed.append(done)
    shown_results = failed if options.quiet and options.format == "text" else judged
    if options.format == "text" and options.output in (None, "-"):
        output.write(output.own_page().paint(_verdicts(output.own_page(), shown_results)))
    elif options.format == "text":
        output.write_file(options.output, Page().paint(_verdicts(Page(), shown_results)))
    else:
        output.publish(Report(tool(), tuple(judged)), options.format, options.output, options.color)
    unreadable = outcome.exit_code if outcome.exit_code > EXIT_FAILED else EXIT_FITS
    return max(unreadable, EXIT_FAILED if failed else EXIT_FITS)


def _verdicts(page: Page, results: Sequence[Result]) -> list[Line]:
    lines: list[Line] = []
    for result in results:
        word = Piece("HOLDS", "good") if result.verdict.fits else Piece("GREW" if _grew(result) else "FAILS", "bad")
        place = place_name(result)
        lines.append(line(word, "  ", page.fit(page.clean(_named(result.model.path, place)), page.width - 8)))
        for finding in result.verdict.findings:
            for text in page.wrap(page.clean(f"{finding.code}  {finding.message}"), page.width - 2, page.width - 2):
                lines.append(line(INDENT, text))
    return lines


def _grew(result: Result) -> bool:
    return any(finding.code == "R701" for finding in result.verdict.findings)


def _named(path: str, place: str | None) -> str:
    return f"{path} on {place}" if place else path


def _prune(options: argparse.Namespace, requests: Sequence[Request], path: Path, old: Baseline) -> int:
    known = {
        entry_key(model, request.target or device, path.parent)
        for request in requests
        for model in request.models
        for device in request.devices
    }
    _write(options, path, old, {key: entry for key, entry in old.entries.items() if key in known})
    return EXIT_FITS


def _write(options: argparse.Namespace, path: Path, old: Baseline, entries: dict[str, Entry]) -> None:
    """The new file, unless nothing changed, and what changed in it."""
    differing = changes(old.entries, entries)
    current = tool()
    new = Baseline(entries, current.version, current.device_db)
    if new != old:
        output.write_file(str(path), encode_baseline(new))
    if options.quiet:
        return
    page = output.own_page()
    lines = [text for key, before, after in differing for text in _change(page, key, before, after)]
    tally = f"{shown(path)}: {len(differing)} changed, {len(entries)} in all"
    output.write(page.paint([*lines, line(Piece(page.clean(tally), "strong"))]))


def _change(page: Page, key: str, before: Entry | None, after: Entry | None) -> list[Line]:
    sign = "+" if before is None else "-" if after is None else "~"
    lines = [line(f"{sign} ", page.fit(page.clean(key), page.width - 2))]
    for name, was, now in _figures(before, after):
        if was != now and after is not None:
            lines.append(line(page.fit(f"    {name:<8}{f'{was} to ' if before else ''}{now}", page.width)))
    return lines


def _figures(before: Entry | None, after: Entry | None) -> list[tuple[str, str, str]]:
    def texts(entry: Entry | None) -> tuple[str, str, str]:
        if entry is None:
            return "", "", ""
        latency = "no data" if entry.latency_ms is None else format_ms(entry.latency_ms)
        return format_bytes(entry.ram_bytes), format_bytes(entry.flash_bytes), latency

    return list(zip(("RAM", "flash", "latency"), texts(before), texts(after), strict=True))
