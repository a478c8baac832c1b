"""One self-contained HTML page: no network, no frameworks, nothing that runs but the script that is named by hash.

`markup` escapes, `parts` holds what sections share, and each other module is one section of the page. `page.css`,
`map.css` (also in standalone SVG) and `page.js` are inlined. Without the script everything can still be read.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from mcuprof.document import Report, Result, Tool
from mcuprof.report.html.bill import flash
from mcuprof.report.html.exits import exits
from mcuprof.report.html.layers import layers
from mcuprof.report.html.markup import Markup, tag
from mcuprof.report.html.memory import composition, spread, timeline
from mcuprof.report.html.npu import npu
from mcuprof.report.html.overview import findings, meters, model, summary, verdict
from mcuprof.report.html.roofline import roofline
from mcuprof.report.page import Page
from mcuprof.report.pieces import verdict_word


def render(report: Report, page: Page, detail: bool) -> str:
    """The page, in ASCII whatever the names in it; `detail` changes nothing: what the document holds is shown."""
    style = asset("map.css") + asset("page.css")
    script = asset("page.js")
    several = len(report.results) > 1
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", _title(report)),
        tag("style", Markup(style)),
    )
    articles = [_article(f"r{number}", result, several) for number, result in enumerate(report.results, 1)]
    main = tag("main", summary(report.results) if several else "", *articles)
    tip = tag("div", class_="tip", role="tooltip", id="tip", hidden=True)
    body = tag("body", main, _footer(report.tool), tip, tag("script", Markup(script)))
    return ascii_only(f"<!doctype html>\n{tag('html', head, body, lang='en')}\n")


def asset(name: str) -> str:
    """A file of this package, as text."""
    return files(__package__).joinpath(name).read_text("ascii")


def ascii_only(text: str) -> str:
    """With character references for all else: the same page in every locale."""
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode('ascii')).digest()).decode('ascii')}"


def _title(report: Report) -> str:
    if len(report.results) != 1:
        return f"mcuprof: {len(report.results)} results"
    (result,) = report.results
    return f"{verdict_word(result).text}: {result.model.path}"


def _article(key: str, result: Result, several: bool) -> Markup:
    back = tag("p", tag("a", "All results", href="#all"), class_="back") if several else ""
    parts = (
        verdict(result),
        meters(result),
        findings(result),
        timeline(result, key),
        composition(result),
        spread(result),
        layers(result),
        roofline(result),
        exits(result),
        npu(result),
        flash(result),
        model(result),
    )
    return tag("article", back, *parts, id=key)


def _footer(tool: Tool) -> Markup:
    words = f"{tool.name} {tool.version}, device database {tool.device_db}. 1 KiB = 1024 B."
    trust = "Exact: derived. Measured: with its source. Modelled: with its band. No data: nobody has measured it."
    return tag("footer", tag("p", words), tag("p", trust))
