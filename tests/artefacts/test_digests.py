"""Remembered digests are those of the content, whatever is done to a file; unchanged files are not read again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from petscale.artefacts import digests
from petscale.artefacts.digests import Digests


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read, in order."""
    read: list[Path] = []
    real = digests.file_digest

    def counted(path: Path) -> str:
        read.append(path)
        return real(path)

    monkeypatch.setattr(digests, "file_digest", counted)
    monkeypatch.setattr(digests, "SETTLED_S", 0.0)
    return read


def right(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_place(path: Path) -> None:
    with open(path, "r+b") as handle:
        handle.write(b"B")


def in_place_with_its_time(path: Path) -> None:
    before = path.stat()
    in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_an_older_file(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"C" * path.stat().st_size)
    os.utime(other, (0, 0))
    other.rename(path)


def by_a_file_of_the_same_size_and_time(path: Path) -> None:
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(b"D" * before.st_size)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def by_a_link(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"E" * path.stat().st_size)
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize(
    "replace",
    [in_place, in_place_with_its_time, by_an_older_file, by_a_file_of_the_same_size_and_time, by_a_link],
)
def test_a_replaced_file_has_another_digest(tmp_path: Path, reads: list[Path], replace: Callable[[Path], None]) -> None:
    """The ways in which rows and weights are replaced: editors, `cp -p`, `rsync -t`, `mv`, links."""
    path, memory = tmp_path / "rows", tmp_path / "memory.json"
    path.write_bytes(b"A" * 1000)
    time.sleep(0.02)  # longer than a tick of the file system's clock
    assert Digests(memory)(path) == right(path)
    replace(path)
    assert Digests(memory)(path) == right(path)


def test_an_unchanged_file_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    """A folder of weights may hold hundreds of gigabytes, and Snakemake asks at every start."""
    path, memory = tmp_path / "weights", tmp_path / "memory.json"
    path.write_bytes(b"A" * 1000)
    time.sleep(0.02)
    for _ in range(3):
        assert Digests(memory)(path) == right(path)
    assert len(reads) == 1
    assert Digests(memory, read_again=True)(path) == right(path)
    assert len(reads) == 2


def test_a_full_check_is_remembered(tmp_path: Path, reads: list[Path]) -> None:
    """Content that changed without a trace, as a failing disk does it, is found by `read_again` and from then on."""
    path, memory = tmp_path / "weights", tmp_path / "memory.json"
    path.write_bytes(b"A" * 1000)
    time.sleep(0.02)
    Digests(memory)(path)
    memory.write_text(memory.read_text().replace(right(path), "0" * 64))
    assert Digests(memory)(path) == "0" * 64
    assert Digests(memory, read_again=True)(path) == right(path)
    assert Digests(memory)(path) == right(path)


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    """It may change once more within the same tick of the clock, with the same size."""
    path, memory = tmp_path / "rows", tmp_path / "memory.json"
    path.write_bytes(b"A" * 1000)
    Digests(memory)(path)
    assert not memory.exists()


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"a": 3}', '{"a": [1, 2]}', "\udcff"])
def test_a_damaged_memory_is_no_error(tmp_path: Path, reads: list[Path], text: str) -> None:
    path, memory = tmp_path / "rows", tmp_path / "memory.json"
    path.write_bytes(b"A")
    time.sleep(0.02)
    memory.write_bytes(text.encode(errors="surrogateescape"))
    assert Digests(memory)(path) == right(path)
