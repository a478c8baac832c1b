from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mcuprof.budgets.amounts import Amount, Ratchet, Rule, parse_amount
from mcuprof.budgets.config import joined, load_config
from mcuprof.budgets.config_files import discover
from mcuprof.budgets.config_schema import config_schema
from mcuprof.document import Where
from mcuprof.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FULL = """\
[defaults]
runtime = "tflm"
baseline = "sizes.json"
ignore = ["m105"]
fail_on = "warning"
budget = { latency = "2s" }

[targets.door]
device = "stm32h743zi"
clock = "240MHz"
kernels = "cmsis-nn"
reserve = { DTCM = "16K" }
placement = { arena = ["DTCM", "AXISRAM"] }

[targets.door.budget]
ram = "96K"
flash = "70%"
latency_bound = "nominal"

[targets.door.ratchet]
ram = { max_increase = "3%", min_bytes = "2K" }

[targets.bell]
device = "nrf52840"
reserve = "48K"

[[models]]
path = ["models/*.tflite", "extra.onnx"]
targets = ["door"]
input_shapes = { image = [1, 96, 96, 3] }
budget = { latency = "50ms" }
ignore = ["O403"]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    for name in ("models/a.tflite", "models/b.tflite", "extra.onnx", "models/.hidden.tflite"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write(project: Path, text: str, name: str = "mcuprof.toml") -> Path:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_is_read(project: Path) -> None:
    config = load_config(write(project, FULL))
    door, bell = config.targets["door"], config.targets["bell"]
    assert (door.setting.device, door.setting.clock_hz, door.setting.kernels) == (
        "stm32h743zi",
        240_000_000,
        "cmsis-nn",
    )
    assert (dict(door.setting.reserve), door.setting.arena_regions) == ({"DTCM": 16_384}, ("DTCM", "AXISRAM"))
    assert (bell.setting.reserve_bytes, dict(bell.setting.reserve)) == (49_152, {})
    assert (door.budget.ram, door.budget.flash) == (Amount(98_304), Amount(share=Fraction(7, 10)))
    assert (door.budget.latency_ms, door.budget.latency_bound) == (2000.0, "nominal")
    assert door.budget.where == {
        "ram": Where("mcuprof.toml", 16),
        "flash": Where("mcuprof.toml", 17),
        "latency": Where("mcuprof.toml", 6),
    }
    assert door.ratchet.ram == Rule(Fraction(3, 100), 2048) and door.ratchet.flash == Ratchet().flash
    assert door.ratchet.where == {"ram": Where("mcuprof.toml", 21)}
    assert (config.baseline, config.ignore) == (project / "sizes.json", frozenset({"M105"}))
    assert config.fail_on == "warning"
    (spec,) = config.models
    assert [path.name for path in spec.files()] == ["extra.onnx", "a.tflite", "b.tflite"]
    assert spec.targets == ("door",) and spec.ignore == {"O403"}
    assert spec.input_shapes == {"image": (1, 96, 96, 3)}
    together = joined(door.budget, spec.budget)
    assert (together.latency_ms, together.latency_bound, together.ram) == (50.0, "nominal", Amount(98_304))
    assert together.where["latency"] == Where("mcuprof.toml", 31)


def test_the_published_schema_accepts_what_is_read(project: Path) -> None:
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(FULL), schema)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('clock = "240MHz"', 'clok = "240MHz"', "mcuprof.toml:10: targets.door.clok: unknown key; did you mean clock?"),
        ("[defaults]", "[default]", "mcuprof.toml:1: default: unknown key; did you mean defaults?"),
        ('ram = "96K"', "ram = 96", 'mcuprof.toml:16: targets.door.budget.ram: expected text in quotes, such as "96K"'),
        ('ram = "96K"', 'ram = "96Q"', "mcuprof.toml:16: targets.door.budget.ram: not an amount: '96Q'"),
        ('flash = "70%"', 'flash = "x%"', "mcuprof.toml:17: targets.door.budget.flash: not a percentage: 'x%'"),
        ('"50ms"', '"50"', "mcuprof.toml:31: models[0].budget.latency: not a time: '50'"),
        ('"240MHz"', '"fast"', "mcuprof.toml:10: targets.door.clock: not a clock: 'fast'"),
        ('DTCM = "16K"', 'DTCM = "16X"', "mcuprof.toml:12: targets.door.reserve.DTCM: not a size: '16X'"),
        ('"nominal"', '"middle"', "mcuprof.toml:18: targets.door.budget.latency_bound: invalid enum value 'middle'"),
        ('"3%", min_bytes = "2K"', '"3%"', "mcuprof.toml:21: targets.door.ratchet.ram: the key 'min_bytes' is missing"),
        ('"3%"', '"3"', "mcuprof.toml:21: targets.door.ratchet.ram: not a percentage: '3'"),
        ('["door"]', '["dor"]', "mcuprof.toml:29: models[0].targets: no target 'dor' (there are door, bell)"),
        ('["m105"]', '["M999"]', "mcuprof.toml:4: defaults.ignore: no finding has the code 'M999'"),
        ('["O403"]', '["M101"]', "mcuprof.toml:32: models[0].ignore: M101 (needs more RAM than the region has) cannot"),
        ("[1, 96, 96, 3]", "[0]", "mcuprof.toml:30: models[0].input_shapes[0]: expected int >= 1"),
        ('path = ["models/*.tflite", "extra.onnx"]\n', "", "mcuprof.toml:27: models[0]: the key 'path' is missing"),
        ('device = "nrf52840"', "device = 3", "mcuprof.toml:24: targets.bell.device: expected text in quotes"),
        ('device = "stm32h743zi"\n', "", "mcuprof.toml:9: targets.door.clock: needs a device"),
        ("[targets.door]", "[targets.door", "mcuprof.toml: is not TOML: "),
    ],
)
def test_errors_name_file_line_and_key(project: Path, before: str, after: str, message: str) -> None:
    assert before in FULL
    with pytest.raises(UsageError) as error:
        load_config(write(project, FULL.replace(before, after, 1)))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mcuprof.toml: no target"),
        ('[targets.a]\ndevice = "nrf52840"\n', "mcuprof.toml: no model"),
        ("targets = 3\n", "mcuprof.toml:1: targets: expected object"),
        ("models = [3]\n", "mcuprof.toml:1: models[0]: expected object"),
        ("[targets]\na = 3\n", "mcuprof.toml:2: targets.a: expected object"),
        ("x = " + "[" * 5000, "mcuprof.toml: is not TOML"),
    ],
)
def test_what_is_no_config(project: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        load_config(write(project, text))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_bytes_that_are_no_text(project: Path) -> None:
    (project / "mcuprof.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"^mcuprof\.toml: cannot be read: it is not UTF-8 text$"):
        load_config(project / "mcuprof.toml")
    with pytest.raises(UsageError, match="no such file"):
        load_config(project / "nothing.toml")


@pytest.mark.parametrize(
    ("glob", "message"),
    [
        ("model/*.tflite", r"mcuprof\.toml:4: models\.path: 'model/\*\.tflite' matches no file in \."),
        ("/abs/*.tflite", r"mcuprof\.toml:4: models\.path: '/abs/\*\.tflite' is no glob"),
        ("a**b/x", r"mcuprof\.toml:4: models\.path: "),
    ],
)
def test_a_glob_that_matches_nothing(project: Path, glob: str, message: str) -> None:
    config = load_config(write(project, f'[targets.a]\ndevice = "nrf52840"\n[[models]]\npath = "{glob}"\n'))
    with pytest.raises(UsageError, match=message):
        config.models[0].files()


def test_hidden_folders_are_not_searched(project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "c.tflite").write_bytes(b"")
    config = load_config(write(project, '[targets.a]\ndevice = "x"\n[[models]]\npath = "**/*.tflite"\n'))
    assert [path.name for path in config.models[0].files()] == ["a.tflite", "b.tflite"]


def test_extend_fills_in_what_is_not_said(project: Path) -> None:
    base = '[targets.a]\ndevice = "nrf52840"\nclock = "64MHz"\n[targets.a.budget]\nram = "1K"\nflash = "2K"\n'
    write(project, base + '[[models]]\npath = "*.onnx"\n', "base.toml")
    own = 'extend = "../base.toml"\n[targets.a]\nclock = "32MHz"\n[targets.a.budget]\nram = "3K"\n'
    config = load_config(write(project, own + '[[models]]\npath = "*.tflite"\n', "models/mcuprof.toml"))
    target = config.targets["a"]
    assert (target.setting.device, target.setting.clock_hz) == ("nrf52840", 32_000_000)
    assert (target.budget.ram, target.budget.flash) == (Amount(3072), Amount(2048))
    assert target.budget.where == {"ram": Where("models/mcuprof.toml", 5), "flash": Where("base.toml", 6)}
    # each file's globs start at its own folder, and its own models come first
    assert [path.name for spec in config.models for path in spec.files()] == ["a.tflite", "b.tflite", "extra.onnx"]


@pytest.mark.parametrize(
    ("extend", "message"),
    [("nothing.toml", "no such file: 'nothing.toml'"), ("mcuprof.toml", "leads back"), ("other.toml", "leads back")],
)
def test_extend_that_leads_nowhere(project: Path, extend: str, message: str) -> None:
    write(project, 'extend = "mcuprof.toml"\n', "other.toml")
    with pytest.raises(UsageError) as error:
        load_config(write(project, f'extend = "{extend}"\n'))
    assert message in str(error.value) and "toml:1: extend: " in str(error.value)


def test_discovery_goes_upward_and_prefers_the_nearest(project: Path) -> None:
    assert discover(project / "models") is None
    write(project, "[tool.other]\n", "pyproject.toml")
    assert discover(project / "models") is None
    write(project, "[tool.mcuprof.targets.a]\n", "pyproject.toml")
    assert discover(project / "models") == project / "pyproject.toml"
    write(project, "", "mcuprof.toml")
    assert discover(project / "models") == project / "mcuprof.toml"
    write(project, "", "models/.mcuprof.toml")
    assert discover(project / "models") == project / "models" / ".mcuprof.toml"


def test_a_section_of_pyproject(project: Path) -> None:
    section = FULL.replace("[[models", "[[tool.mcuprof.models").replace("\n[targets", "\n[tool.mcuprof.targets")
    path = write(
        project, '[project]\nname = "x"\n' + section.replace("[defaults", "[tool.mcuprof.defaults"), "pyproject.toml"
    )
    config = load_config(path)
    assert set(config.targets) == {"door", "bell"}
    assert config.targets["door"].budget.where["ram"] == Where("pyproject.toml", 18)
    with pytest.raises(UsageError, match=r"pyproject\.toml:12: targets\.door\.clok: unknown key"):
        load_config(write(project, path.read_text().replace("clock", "clok"), "pyproject.toml"))


@pytest.mark.parametrize(
    ("text", "expected"), [("96K", Amount(98_304)), ("70 %", Amount(share=Fraction(7, 10))), ("0.5%", None)]
)
def test_amounts(text: str, expected: Any) -> None:
    assert parse_amount(text) == (expected or Amount(share=Fraction(1, 200)))


def test_a_part_is_rounded_down_and_needs_a_whole() -> None:
    assert parse_amount("33%").bytes_of(100_001, "RAM") == 33_000
    with pytest.raises(UsageError, match=r"33 % of the RAM, of which no size is known"):
        parse_amount("33%").bytes_of(None, "RAM")


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        (100_000, 102_000, False),  # exactly 2 %
        (100_000, 102_001, True),
        (10_000, 11_024, False),  # 10 %, but only 1,024 bytes
        (10_000, 11_025, True),
        (1_000_000, 1_019_000, False),  # 19,000 bytes, but only 1.9 %
        (0, 1025, True),
        (100_000, 50_000, False),
    ],
)
def test_a_rule_needs_both(old: int, new: int, broken: bool) -> None:
    assert Ratchet().ram.exceeded(old, new) == broken
