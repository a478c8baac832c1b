"""What is said to the author of a device file that is not as it should be."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mcuprof.errors import DeviceError
from mcuprof.hardware import database_path, load_core, load_device
from mcuprof.hardware.index import index_text, read_devices, version_text, write
from mcuprof.hardware.parts import regions_of
from mcuprof.hardware.validation import validate

GOOD = """\
name = "My board"
vendor = "STMicroelectronics"
part = "STM32F446RE"
cores = ["cortex-m4"]
clock = "180MHz"
regions = [
  { name = "SRAM", kind = "ram", size = "128K", address = 0x20000000 },
  { name = "CCM", kind = "ram", size = "64K", address = 0x10000000 },
]
[sources]
cores = "datasheet"
clock = "datasheet"
regions = "manual"
"""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "my-board.toml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_file_of_ones_own_loads_by_path(board: Path) -> None:
    device = load_device(str(board))
    assert (device.id, device.clock_hz, device.ram_bytes) == ("my-board", 180_000_000, 192 * 1024)
    assert validate(board) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('clock = "180MHz"', 'clok = "180MHz"', 5, "clok: unknown key"),
        ('kind = "ram", size = "64K"', 'kind = "ram", sise = "64K"', 8, "regions[1].sise: unknown key"),
        ('size = "64K"', 'size = "64"', 8, "regions[1].size: '64' has no unit; write a size, such as 640K or 512B"),
        ('size = "64K"', 'size = "0K"', 8, "regions[1].size: '0K' is not positive"),
        ('size = "64K"', 'size = "-64K"', 8, "regions[1].size: not a size: '-64K'"),
        ('size = "64K"', "size = 65536", 8, "regions[1].size: Expected str, got int"),
        ('"180MHz"', '"180"', 5, "clock: '180' has no unit; write a clock, such as 120MHz"),
        ('"180MHz"', '"180GHz"', 5, "clock: 180GHz is outside 1 MHz to 2 GHz"),
        ("0x10000000", "0x2001fff0", 8, "regions[1]: 'CCM' overlaps 'SRAM'"),
        ('"CCM"', '"SRAM"', 8, "regions[1]: a second region is named 'SRAM'"),
        ("0x10000000 }", '0x10000000, alias = "DTCM" }', 8, "regions[1]: alias names no other region: 'DTCM'"),
        ('kind = "ram", size = "64K"', 'kind = "rom", size = "64K"', 8, "regions[1].kind: Invalid enum value 'rom'"),
    ],
)
def test_a_broken_file_is_refused_with_file_line_key_and_reason(
    board: Path, old: str, new: str, line: int, message: str
) -> None:
    edit(board, old, new)
    with pytest.raises(DeviceError) as caught:
        load_device(str(board))
    text = str(caught.value)
    assert text.startswith(f"{board}:{line}: ")
    assert message in text
    assert "\n" not in text
    assert message in "; ".join(map(str, validate(board)))


def test_several_lines_for_a_region_are_read_too(board: Path) -> None:
    table = '[[regions]]\nname = "SRAM"\nkind = "ram"\nsize = "128K"\n'
    other = '[[regions]]\nname = "CCM"\nkind = "ram"\nsize = "64"\n'
    text = GOOD[: GOOD.index("regions = [")] + table + other + GOOD[GOOD.index("[sources]") :]
    board.write_text(text, encoding="utf-8")
    with pytest.raises(DeviceError) as caught:
        load_device(str(board))
    assert str(caught.value).startswith(f"{board}:11: regions[1].size: '64' has no unit")


def test_a_missing_key_is_named(board: Path) -> None:
    edit(board, 'vendor = "STMicroelectronics"\n', "")
    with pytest.raises(DeviceError, match=re.escape("the key 'vendor' is missing")):
        load_device(str(board))


@pytest.mark.parametrize(
    "content",
    [b"name = ", b"\xff\xfe", b"", b"x = " + b"[" * 9999, b"x = " + b"9" * 9999, b'"a\\nb" = 1', b'"a(.b[" = 1'],
)
def test_a_file_that_is_no_toml_is_refused_on_one_line(board: Path, content: bytes) -> None:
    board.write_bytes(content)
    with pytest.raises(DeviceError) as caught:
        load_device(str(board))
    assert str(board) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot be read"):
        load_device(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('clock = "datasheet"\n', "", "my-board.toml:5: clock: has no entry in [sources]"),
        ('clock = "datasheet"', 'clock = " "', "my-board.toml:12: sources.clock: is empty"),
        (
            'clock = "datasheet"',
            'clock = "datasheet"\nfpu = "datasheet"',
            "my-board.toml:13: sources.fpu: speaks of a key that is not there",
        ),
        ("[sources]", '[doubts]\nclocks = "x"\n[sources]', "my-board.toml:11: doubts.clocks: speaks of an unknown key"),
        ("cortex-m4", "cortex-m99", "cores: there is no file cores/cortex-m99.toml"),
        ('part = "', 'accelerators = ["npu"]\npart = "', "accelerators: there is no file accelerators/npu.toml"),
        ('clock = "180MHz"', 'clock = "180MHz"\nram_total = "100K"', "ram_total: is less than the largest block"),
    ],
)
def test_validation_sees_what_loading_lets_pass(board: Path, old: str, new: str, message: str) -> None:
    edit(board, old, new)
    assert message in "; ".join(map(str, validate(board)))


def test_validation_reports_all_problems_not_only_the_first(board: Path) -> None:
    edit(board, '"180MHz"', '"180"')
    edit(board, 'size = "64K"', 'size = "64"')
    assert len(validate(board)) == 2


@pytest.fixture
def small_database(tmp_path: Path) -> Path:
    """A valid database of two devices."""
    root = tmp_path / "db"
    for folder in ("devices", "cores", "accelerators"):
        (root / folder).mkdir(parents=True)
    shutil.copy(database_path() / "cores" / "cortex-m4.toml", root / "cores")
    for name in ("one", "two"):
        text = GOOD.replace("My board", f"Board {name}").replace("cores =", f'boards = ["Board {name}"]\ncores =', 1)
        (root / "devices" / f"{name}.toml").write_text(text, encoding="utf-8")
    header = "part,vendor,cores,core_count,ram,flash,order_codes,source,doubt\n"
    (root / "parts.csv").write_text(header + "X1,V,cortex-m4,1,SRAM:8K@0x20000000,,,s,\n", encoding="utf-8")
    write(root)
    assert validate(root=root) == []
    return root


def test_two_devices_may_not_share_a_board(small_database: Path) -> None:
    edit(small_database / "devices" / "two.toml", '"Board two"', '"board-ONE"')
    write(small_database)
    assert [problem.reason for problem in validate(root=small_database)] == ["'board-ONE' already names one"]


def test_a_part_on_several_boards_names_none_of_them(small_database: Path) -> None:
    index = (small_database / "index.csv").read_text(encoding="utf-8")
    assert "boardone" in index
    assert "stm32f446re" not in index
    (small_database / "devices" / "two.toml").unlink()
    assert "stm32f446re,one,STM32F446RE" in index_text(read_devices(small_database))


def test_made_files_out_of_step_are_found(small_database: Path) -> None:
    edit(small_database / "devices" / "two.toml", "180MHz", "160MHz")
    assert [problem.path.name for problem in validate(root=small_database)] == ["VERSION"]
    edit(small_database / "devices" / "two.toml", "boards = [", 'aliases = ["zwei"]\nboards = [')
    assert [problem.path.name for problem in validate(root=small_database)] == ["index.csv", "VERSION"]


def test_the_part_map_is_validated(small_database: Path) -> None:
    with (small_database / "parts.csv").open("a", encoding="utf-8") as file:
        file.write("X1,V,cortex-m5,1,SRAM:8K@zero,,,,\n")
    reasons = "; ".join(f"{problem.line} {problem.reason}" for problem in validate(root=small_database))
    for part in ("3 'X1' stands twice", "3 there is no file cores/cortex-m5.toml", "3 is empty", "not a region"):
        assert part in reasons


def test_the_shipped_index_and_version_are_in_step_with_the_files() -> None:
    root = database_path()
    assert (root / "index.csv").read_text(encoding="utf-8") == index_text(read_devices(root))
    assert (root / "VERSION").read_text(encoding="utf-8") == version_text(root)


def test_line_ends_do_not_change_the_version(small_database: Path) -> None:
    before = version_text(small_database)
    path = small_database / "devices" / "one.toml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert version_text(small_database) == before


def test_regions_of_a_part_cell() -> None:
    apart, closed = regions_of("ITCM:64K@0x00000000!;SRAM, 2:640B@0x20000000|", "ram")
    assert (apart.name, apart.bytes, apart.address, apart.arena, apart.merge) == ("ITCM", 65536, 0, False, True)
    assert (closed.name, closed.bytes, closed.address, closed.arena, closed.merge) == (
        "SRAM, 2",
        640,
        0x20000000,
        True,
        False,
    )


def test_an_unknown_core_names_the_nearest() -> None:
    with pytest.raises(DeviceError, match=r"unknown core 'cortex-m34'; nearest: .*cortex-m33"):
        load_core("cortex-m34")
