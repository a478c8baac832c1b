from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import mcuprof
from mcuprof.cli import main
from mcuprof.costs import NoData, work
from mcuprof.costs.cycles import Anchor, anchor
from mcuprof.hardware import load_device
from mcuprof.report.page import columns

Capture = pytest.CaptureFixture[str]
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
NAMES = ("ds_cnn_int8.tflite", "mobilenet_v1_025_96_int8.tflite", "resnet8_int8.tflite", "autoencoder_int8.tflite")
BOARD = "nrf52840"  # 64 MHz, Cortex-M4, not among the measured boards


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        Path(name).symlink_to(SAMPLES / name)
    return tmp_path


def counts(name: str) -> list[int]:
    """Instructions of every operator, which the times below are made from."""
    found = work(mcuprof.load(SAMPLES / name), load_device(BOARD).core, runtime="tflm", kernels="cmsis-nn")
    assert not isinstance(found, NoData)
    return [one.instructions or 0 for one in found.counts]


def ms(name: str, cpi: float) -> float:
    return cpi * sum(counts(name)) / 64_000


def table(cpi: float, names: tuple[str, ...] = NAMES) -> str:
    return "model,ms\n" + "".join(f"{name},{ms(name, cpi):.4f}\n" for name in names)


def latency(capsys: Capture, device: str, *options: str, model: str = NAMES[0]) -> dict[str, float | str]:
    capsys.readouterr()
    assert main(["check", model, "-d", device, "-f", "json", *options]) == 0
    found: dict[str, float | str] = json.loads(capsys.readouterr().out)["results"][0]["latency"]
    return found


def test_runs_at_a_known_rate_give_that_rate_back(capsys: Capture) -> None:
    """Times made with 1.2 cycles per instruction, whatever the operator; published ones differ by operator."""
    Path("runs.csv").write_text(table(1.2))
    before = latency(capsys, BOARD)
    assert main(["calibrate", BOARD, "runs.csv", "-o", "mine.toml"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("CALIBRATED") and all(name in out for name in NAMES[:3])
    assert main(["devices", "validate", "mine.toml"]) == 0
    for name in NAMES:
        after = latency(capsys, "mine.toml", model=name)
        low, middle, high = float(after["low_ms"]), float(after["ms"]), float(after["high_ms"])
        assert middle == pytest.approx(ms(name, 1.2), rel=0.15)
        assert low < ms(name, 1.2) < high
    after = latency(capsys, "mine.toml")
    assert float(after["high_ms"]) / float(after["low_ms"]) < float(before["high_ms"]) / float(before["low_ms"])
    assert "calibrated: " in str(after["basis"]) and "runs.csv" in str(after["basis"])
    other = latency(capsys, "mine.toml", "--clock", "32MHz")
    assert float(other["high_ms"]) / float(other["ms"]) > float(after["high_ms"]) / float(after["ms"])
    assert latency(capsys, BOARD) == before
    assert "calibrated" not in str(latency(capsys, "mine.toml", "--kernels", "reference")["basis"])


def test_a_core_without_published_latencies_gets_milliseconds(capsys: Capture) -> None:
    """Cortex-M0+ has counted instructions, but no published time."""
    assert latency(capsys, "rp2040")["ms"] is None
    Path("runs.csv").write_text("model,cycles\n" + "".join(f"{name},{2 * sum(counts(name))}\n" for name in NAMES))
    assert main(["calibrate", "rp2040", "runs.csv", "-o", "pico.toml"]) == 0
    assert "nothing published before" in " ".join(capsys.readouterr().out.split())
    after = latency(capsys, "pico.toml")
    assert float(after["low_ms"]) < 2 * sum(counts(NAMES[0])) / 133_000 < float(after["high_ms"])


def test_a_second_calibration_replaces_the_first_and_nothing_else(capsys: Capture) -> None:
    Path("fast.csv").write_text(table(1.2))
    Path("slow.csv").write_text(table(2.4))
    assert main(["calibrate", BOARD, "fast.csv"]) == 0
    path = Path(f"{BOARD}-calibrated.toml")
    path.write_text("# my own words\n" + path.read_text() + "# the end of the file\n")
    first = path.read_text()
    assert main(["calibrate", str(path), "slow.csv"]) == 0
    second = path.read_text()
    assert second.count("[calibration]") == 1 and second.startswith("# my own words\n")
    ours, theirs = load_device(str(path)).calibration, "# the end of the file"
    assert ours is not None and ours.source == "slow.csv" and second.count(theirs) == 1
    assert second.startswith(first.split("[calibration]")[0].rstrip())
    assert main(["calibrate", str(path), "fast.csv"]) == 0
    again = path.read_text()
    assert main(["calibrate", str(path), "fast.csv"]) == 0
    assert path.read_text() == again
    assert main(["calibrate", BOARD, "fast.csv"]) == 2  # would overwrite a file that was not named
    assert "is there already" in capsys.readouterr().err


def log_lines(name: str, scale: Callable[[str], float]) -> list[tuple[str, int]]:
    kinds = [op.kind for op in mcuprof.load(SAMPLES / name).ops]
    return [(kind, round(scale(kind) * count)) for kind, count in zip(kinds, counts(name), strict=True)]


def micro_log(rows: list[tuple[str, int]]) -> str:
    """As MicroProfiler::Log prints: `MicroPrintf("%s took %" PRIu32 " ticks (%d ms).", …)`, here behind a logger."""
    return "".join(f"I (123) app: {tag} took {ticks} ticks ({ticks // 64_000} ms).\n" for tag, ticks in rows)


def micro_csv(rows: list[tuple[str, int]]) -> str:
    """As MicroProfiler::LogCsv prints."""
    return '"Event","Tag","Ticks"\n' + "".join(f"{i},{tag},{ticks}\n" for i, (tag, ticks) in enumerate(rows))


def operator_table(rows: list[tuple[str, int]]) -> str:
    return "operator,cycles\n" + "".join(f"{index},{ticks}\n" for index, (_, ticks) in enumerate(rows))


@pytest.mark.parametrize("form", [micro_log, micro_csv, operator_table])
def test_profiles_calibrate_kernel_classes(capsys: Capture, form: Callable[[list[tuple[str, int]]], str]) -> None:
    """Times made with twice the cycles for depthwise convolutions as for all else."""
    rows = log_lines(NAMES[1], lambda kind: 2.4 if kind == "DEPTHWISE_CONV_2D" else 1.2)
    Path("profile.txt").write_text("booting\n" + form(rows) if form is not operator_table else form(rows))
    assert main(["calibrate", BOARD, "profile.txt", "--model", NAMES[1], "-o", "mine.toml"]) == 0
    after = latency(capsys, "mine.toml", model=NAMES[1])
    assert float(after["ms"]) == pytest.approx(sum(ticks for _, ticks in rows) / 64_000, rel=0.1)
    factors = load_device("mine.toml").calibration
    assert factors is not None
    conv, depthwise = (factors.factors[name] for name in ("conv_s8:1x1", "dwconv_s8:3x3"))
    published = anchor("cortex-m4", "cmsis-nn")
    assert isinstance(published, Anchor)
    told = published.shares["dwconv"] / published.shares["conv1x1"]  # factors correct what is published
    assert depthwise / conv * told == pytest.approx(2.0, rel=0.25)
    assert "nothing to hold out" in str(after["basis"])


def test_repeated_inferences_and_coarse_clocks(capsys: Capture) -> None:
    rows = log_lines(NAMES[0], lambda kind: 1.2)
    Path("one.txt").write_text(micro_csv(rows))
    Path("three.txt").write_text(micro_csv(rows * 3))
    assert main(["calibrate", BOARD, "one.txt", "--model", NAMES[0], "-o", "one.toml"]) == 0
    assert main(["calibrate", BOARD, "three.txt", "--model", NAMES[0], "-o", "three.toml"]) == 0
    one, three = load_device("one.toml").calibration, load_device("three.toml").calibration
    assert one is not None and three is not None and one.cpi == pytest.approx(three.cpi)
    coarse = [(tag, ticks // 64) for tag, ticks in rows]  # a microsecond timer; some operators take 0
    Path("us.txt").write_text(micro_csv(coarse))
    assert main(["calibrate", BOARD, "us.txt", "--model", NAMES[0], "--tick-rate", "1MHz", "-o", "us.toml"]) == 0
    us = load_device("us.toml").calibration
    assert us is not None and us.cpi == pytest.approx(one.cpi, rel=0.05)
    capsys.readouterr()


PROFILE = [("CONV_2D", 5), ("CONV_2D", 6)]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (f"model,ms\n{NAMES[0]},fast\n{NAMES[1]},3\n", [], ["runs.csv:2:", "ms", "not a number", "'fast'"]),
        (f"model,ms\n{NAMES[0]},100\n{NAMES[1]},-3\n", [], ["runs.csv:3:", "ms", "-3 is not a time"]),
        (f"model,ms\n{NAMES[0]},100\n{NAMES[1]},nan\n", [], ["runs.csv:3:", "nan"]),
        (f"model,ms\n{NAMES[0]},100\n{NAMES[1]},0\n", [], ["runs.csv:3:", "0 is not a time"]),
        (f"model,ms\n{NAMES[0]},100\n", [], ["runs.csv:2:", "one row only"]),
        (f"model,ms\n{NAMES[0]},1_00\n{NAMES[1]},3\n", [], ["runs.csv:2:", "not a number: '1_00'"]),
        (f"model,ms\n{NAMES[0]},\uff11\uff10\n{NAMES[1]},3\n", [], ["runs.csv:2:", "not a number"]),
        (f"model,ms\n{NAMES[0]},1e308\n{NAMES[1]},3\n", [], ["runs.csv:2:", "1e308 is not a time"]),
        (f"model,ms\n{NAMES[0]},100\n", ["runs.csv"], ["runs.csv is named twice"]),
        (f"model,ms\n{NAMES[0]},100\n{NAMES[1]}\n", [], ["runs.csv:3:", "1 cells, the header has 2"]),
        (f"model,time\n{NAMES[0]},100\n{NAMES[1]},1\n", [], ["runs.csv:1:", "ms, us, cycles"]),
        (f"model,ms,us\n{NAMES[0]},100,1\n", [], ["runs.csv:1:", "ms and us"]),
        ("ms\n100\n200\n", [], ["runs.csv:2:", "which model?"]),
        ("model,ms\n", [], ["no measurement"]),
        ("", [], ["runs.csv:1:"]),
        ("operator,ms\n0,1\n99,2\n", ["--model", NAMES[0]], ["runs.csv:3:", "none of index 99"]),
        ("operator,ms\n0,1\n-1,2\n", ["--model", NAMES[0]], ["runs.csv:3:", "not an index"]),
        (f"model,us\n{NAMES[0]},100\n{NAMES[1]},300\n", [], ["runs.csv:2:", "cycles per instruction"]),
        (micro_csv(PROFILE), ["--model", NAMES[0]], ["runs.csv:3:", "not a whole number of inferences"]),
        (micro_csv([("ADD", 5)] * 13), ["--model", NAMES[0]], ["runs.csv:2:", "event 0 is ADD", "CONV_2D"]),
        (micro_csv(PROFILE).replace(",5", ",x"), ["--model", NAMES[0]], ["runs.csv:2:", "not a number"]),
        ('"Unique Tag","Total ticks across all events with that tag."\nADD, 12\n', [], ["runs.csv:", "per tag"]),
        (f"model,ms\nmissing.tflite,100\n{NAMES[1]},3\n", [], ["missing.tflite"]),
    ],
)
def test_bad_input_is_one_line_and_stores_nothing(
    capsys: Capture, folder: Path, text: str, options: list[str], words: list[str]
) -> None:
    Path("runs.csv").write_text(text)
    before = sorted(folder.iterdir())
    assert main(["calibrate", BOARD, "runs.csv", *options]) in (2, 3)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("mcuprof: error: ") and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("device", "words"),
    [("esp32-s2", "no instruction counts of esp-nn"), ("stm32h743zg", "no device file"), ("nowhere", "unknown device")],
)
def test_devices_that_cannot_be_calibrated(capsys: Capture, device: str, words: str) -> None:
    Path("runs.csv").write_text(table(1.2))
    assert main(["calibrate", device, "runs.csv", "-o", "x.toml"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not Path("x.toml").exists()


def test_ticks_that_contradict_their_milliseconds(capsys: Capture) -> None:
    """A log of a 1 MHz tick, read as cycles of a 64 MHz core."""
    rows = [(tag, ticks // 64) for tag, ticks in log_lines(NAMES[2], lambda kind: 1.9)]
    text = "".join(f"{tag} took {ticks} ticks ({ticks // 1000} ms).\n" for tag, ticks in rows)
    Path("log.txt").write_text(text)
    arguments = ["calibrate", BOARD, "log.txt", "--model", NAMES[2], "-o", "x.toml"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "log.txt:1:" in error and "MHz tick" in error and not Path("x.toml").exists()
    assert main([*arguments, "--tick-rate", "1MHz"]) == 0


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    Path("runs.csv").write_text(table(1.2))
    assert main(["calibrate", BOARD, "runs.csv", "-o", "x.toml"]) == 0
    assert max(map(columns, capsys.readouterr().out.splitlines())) <= width


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cpi = ", "cpi = -"),
        ("band = ", "bond = "),
        ('clock = "64MHz"\ncpi', 'clock = "64"\ncpi'),
        ("rows = 4", "rows = 0"),
    ],
)
def test_a_broken_calibration_table_is_refused(capsys: Capture, old: str, new: str) -> None:
    Path("runs.csv").write_text(table(1.2))
    assert main(["calibrate", BOARD, "runs.csv", "-o", "x.toml"]) == 0
    text = Path("x.toml").read_text()
    assert old in text
    Path("x.toml").write_text(text.replace(old, new))
    capsys.readouterr()
    assert main(["check", NAMES[0], "-d", "x.toml"]) == 2
    error = capsys.readouterr().err
    assert "calibration" in error and "x.toml" in error and error.count("\n") == 1
