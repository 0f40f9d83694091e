"""Records name the commit that made them; a copy without git records no commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from petscale.workspace.commit import VARIABLE, commit_of, keep_changes


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def test_a_clean_checkout_gives_its_commit(checkout: Path) -> None:
    (checkout / "untracked.csv").write_text("results are no change of the code\n")
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD")


def test_a_changed_file_is_told(checkout: Path) -> None:
    (checkout / "code.py").write_text("2\n")
    first = commit_of(checkout)
    assert str(first).startswith(git(checkout, "rev-parse", "HEAD") + "-dirty-")
    (checkout / "code.py").write_text("3\n")
    assert commit_of(checkout) != first  # two trials of one morning are two codes


def test_what_differs_is_kept_and_gives_back_the_code(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    kept = tmp_path_factory.mktemp("changes")
    assert keep_changes(checkout, kept) is None
    (checkout / "code.py").write_bytes(b"2\r\n\xff")
    told, path = commit_of(checkout), keep_changes(checkout, kept)
    assert path is not None
    assert str(told).endswith(f"-dirty-{path.stem}")
    git(checkout, "checkout", "--quiet", "code.py")
    git(checkout, "apply", str(path))
    assert (checkout / "code.py").read_bytes() == b"2\r\n\xff"


def test_a_tree_of_another_user_has_its_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git refuses such trees, as on clusters with one installation for a group; GIT_TEST_... makes it believe so."""
    (checkout / "code.py").write_text("2\n")
    expected = commit_of(checkout)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    refused = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert "dubious ownership" in refused.stderr
    assert commit_of(checkout) == expected


def test_a_commit_that_cannot_be_told_is_said(checkout: Path, caplog: pytest.LogCaptureFixture) -> None:
    (checkout / ".git" / "HEAD").write_text("damaged")
    assert commit_of(checkout) is None
    assert "git does not tell the commit" in caplog.text


def test_a_copy_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) is None


def test_what_the_driver_told_goes_first(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "f" * 40)
    assert commit_of(checkout) == "f" * 40
