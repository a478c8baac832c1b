"""What CI systems read: held to their published schema where there is one, else to their documentation's rules."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.budgets import CODES, Limits, judge
from mcuprof.document import Finding, Report, Result, Severity, Verdict, Where, decode, encode
from mcuprof.report import FORMATS, render
from tests.corpus import DATA
from tests.documents import NO_DEVICE, RESULT, detailed, report

replace = msgspec.structs.replace
SCHEMA = DATA / "schemas" / "sarif-schema-2.1.0.json"
MACHINE = ("sarif", "junit", "github", "gitlab", "openmetrics")
LINE = Where("conf/mcuprof.toml", 12)
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


def found(*findings: Finding, path: str = "models/vww.tflite", target: str | None = "door") -> Result:
    return replace(
        RESULT,
        model=replace(RESULT.model, path=path),
        target=replace(RESULT.target, name=target) if target else RESULT.target,
        verdict=Verdict(all(finding.severity != "error" for finding in findings), findings),
    )


OVER = Finding("M101", "error", "over the RAM budget: 100 % gone", "free 4,096 B", where=LINE)
SLOW = Finding("M108", "warning", "fits only SDRAM", where=LINE)
NOTE = Finding("M105", "note", "no data on the stack")
DOCUMENT = report(found(OVER, SLOW, NOTE), found(), judge(NO_DEVICE, Limits()))

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
findings = st.builds(
    Finding,
    st.sampled_from(sorted(CODES)),
    st.sampled_from(SEVERITIES),
    names,
    st.none() | names,
    where=st.just(msgspec.UNSET) | st.builds(Where, names, st.integers(1, 10**6)),
)
documents = st.lists(
    st.builds(
        lambda many, path, target: found(*many, path=path, target=target),
        st.lists(findings, max_size=4),
        names,
        st.none() | names,
    ),
    max_size=3,
).map(lambda results: report(*results))


@pytest.mark.parametrize("format", sorted(set(FORMATS) - {"html", "svg"}))
@settings(max_examples=15, deadline=None)
@given(document=documents, detail=st.booleans(), unicode=st.booleans())
def test_same_document_same_bytes(format: str, document: Report, detail: bool, unicode: bool) -> None:
    first = render(document, format, detail=detail, unicode=unicode)
    again = render(decode(encode(document)), format, detail=detail, unicode=unicode)
    assert (first == again and first.endswith("\n")) or first == again == ""
    assert unicode or first.isascii()


# SARIF ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validator() -> jsonschema.protocols.Validator:
    if not SCHEMA.is_file():
        pytest.skip("the SARIF schema is not in the shared data beside this checkout")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    return kind(schema, format_checker=jsonschema.FormatChecker())


@settings(max_examples=25, deadline=None)
@given(document=documents)
def test_sarif_passes_the_official_schema(validator: jsonschema.protocols.Validator, document: Report) -> None:
    validator.validate(json.loads(render(document, "sarif")))
    validator.validate(json.loads(render(DOCUMENT, "sarif")))


def test_sarif_points_at_the_budgets_line() -> None:
    (run,) = json.loads(render(DOCUMENT, "sarif"))["runs"]
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("M101", "error")
    place = first["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "conf/mcuprof.toml"}, "region": {"startLine": 12}}
    related = first["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert related == "models/vww.tflite"
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])


def test_sarif_fingerprints_survive_new_figures_and_tell_findings_apart() -> None:
    def prints(*findings: Finding) -> list[str]:
        (run,) = json.loads(render(report(found(*findings)), "sarif"))["runs"]
        return [result["partialFingerprints"]["mcuprof/v1"] for result in run["results"]]

    moved = replace(OVER, message="over by more", where=Where("conf/mcuprof.toml", 99))
    assert prints(OVER) == prints(moved)
    assert len(set(prints(OVER, moved, SLOW))) == 3


@pytest.mark.parametrize("path", ["./a b/ü%.tflite", "/abs/x?.tflite", "C:\\models\\x#.tflite", "../x.tflite"])
def test_sarif_uris_lead_back_to_the_path(path: str) -> None:
    (run,) = json.loads(render(report(found(OVER, path=path)), "sarif"))["runs"]
    uri = run["results"][0]["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    parts = urlsplit(uri)
    assert parts.query == parts.fragment == ""
    plain = path.replace("\\", "/").removeprefix("./")
    assert unquote(parts.path) in (plain, "/" + plain)


# JUnit ----------------------------------------------------------------------------------------------------------------

# The rules of Jenkins' junit-10 schema: attributes of an element (required, allowed), and its children.
JUNIT: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped", "time", "timestamp", "hostname", "id", "package"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "classname"},
        {"time", "status", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def check_junit(element: ElementTree.Element) -> None:
    required, optional, children = JUNIT[element.tag]
    assert required <= element.attrib.keys() <= required | optional
    for name in element.attrib.keys() & {"tests", "failures", "errors", "skipped"}:
        assert re.fullmatch(r"\d+", element.attrib[name])
    assert re.fullmatch(r"\d+(\.\d+)?", element.get("time", "0"))
    for child in element:
        assert child.tag in children
        check_junit(child)
    if element.tag == "testsuite":
        cases = element.findall("testcase")
        assert int(element.attrib["tests"]) == len(cases)
        assert int(element.attrib["failures"]) == sum(case.find("failure") is not None for case in cases)
        assert int(element.attrib["skipped"]) == sum(case.find("skipped") is not None for case in cases)
        assert len({case.attrib["name"] for case in cases}) == len(cases)


@settings(max_examples=25, deadline=None)
@given(document=documents)
def test_junit_has_the_layout_of_jenkins(document: Report) -> None:
    root = ElementTree.fromstring(render(document, "junit").encode())
    check_junit(root)
    assert root.tag == "testsuites" and len(root) == len(document.results)
    for suite, result in zip(root, document.results, strict=True):
        assert (int(suite.attrib["failures"]) > 0) == (not result.verdict.fits)


def test_junit_says_what_was_not_judged() -> None:
    root = ElementTree.fromstring(render(DOCUMENT, "junit"))
    over, fits, unjudged = root
    failure = over.find("testcase[@name='memory']/failure")
    assert failure is not None and failure.attrib == {"type": "M101", "message": OVER.message}
    assert fits.attrib["failures"] == fits.attrib["skipped"] == "0"
    skipped = [case.attrib["name"] for case in unjudged if case.find("skipped") is not None]
    assert skipped == ["memory", "flash", "latency"]


# GitHub, GitLab, OpenMetrics ------------------------------------------------------------------------------------------


def test_github_annotations() -> None:
    lines = render(DOCUMENT, "github").splitlines()
    assert lines[0] == (
        "::error file=conf/mcuprof.toml,line=12,title=M101 models/vww.tflite on door::"
        "over the RAM budget: 100 %25 gone. Fix: free 4,096 B"
    )
    assert lines[1].startswith("::warning ") and lines[2:] == ["mcuprof: 1 of 3 fit"]
    assert "::notice " in render(DOCUMENT, "github", detail=True)


@settings(max_examples=50, deadline=None)
@given(document=documents)
def test_github_names_cannot_forge_a_command(document: Report) -> None:
    lines = render(document, "github", detail=True).splitlines()
    assert len(lines) == 1 + sum(len(result.verdict.findings) for result in document.results)
    for line in lines[:-1]:
        match = re.fullmatch(r"::(error|warning|notice) file=([^,:]*),line=\d+,title=([^,:]*)::(.*)", line)
        assert match is not None, line


@settings(max_examples=25, deadline=None)
@given(document=documents)
def test_gitlab_issues_have_what_the_documentation_asks_for(document: Report) -> None:
    issues = json.loads(render(document, "gitlab", detail=True))
    assert len(issues) == sum(len(result.verdict.findings) for result in document.results)
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert not issue["location"]["path"].startswith("./") and issue["location"]["lines"]["begin"] >= 1
    if len({result.model.path for result in document.results}) == len(document.results):
        assert len({issue["fingerprint"] for issue in issues}) == len(issues)


SAMPLE = re.compile(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (-?[0-9.e+-]+)')


@settings(max_examples=25, deadline=None)
@given(document=documents)
def test_openmetrics_grammar(document: Report) -> None:
    """Families in blocks, metadata first and once, no label set twice, `# EOF` last: the rules of the specification."""
    *lines, eof = render(document, "openmetrics").removesuffix("\n").split("\n")
    assert eof == "# EOF"
    family, seen = "", set()
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert kind == "gauge" and family not in seen
            seen.add(family)
        elif line.startswith("# UNIT "):
            assert line.split(" ")[2] == family and family.endswith("_" + line.split(" ")[3])
        elif line.startswith("# HELP "):
            assert line.split(" ")[2] == family
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None and match[1] == family, line
            key = match[1] + match[2]
            assert key not in seen
            seen.add(key)


def test_openmetrics_values() -> None:
    text = render(report(found()), "openmetrics")
    labels = 'model="models/vww.tflite",target="door",runtime="tflm",kernels="cmsis-nn"'
    assert f"mcuprof_arena_bytes{{{labels}}} 103680\n" in text
    assert f'mcuprof_latency_seconds{{{labels},bound="high"}} 0.3594\n' in text
    assert f'mcuprof_region_capacity_bytes{{{labels},region="SRAM"}} 131072\n' in text
    assert "latency_seconds{" not in render(report(NO_DEVICE), "openmetrics")


@pytest.mark.parametrize("format", MACHINE)
def test_no_results_is_a_document_too(format: str) -> None:
    assert render(report(), format).endswith("\n")
    assert render(report(detailed(RESULT)), format, detail=True)


def test_renderers_are_one_module_each() -> None:
    assert len(set(FORMATS.values())) == len(FORMATS)
    assert all(find_spec(module) for module in FORMATS.values())
