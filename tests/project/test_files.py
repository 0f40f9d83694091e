"""CITATION.cff, CHANGELOG.md, the forms for issues and the version agree with each other and with their formats."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from petscale import __version__
from petscale.cli.version import version_line


def test_citation_is_valid_and_of_this_version(root: Path) -> None:
    """Against the schema of the Citation File Format 1.2.0 (CC-BY-4.0), where dates are text."""
    schema = json.loads((Path(__file__).parent / "cff-1.2.0.schema.json").read_text())
    citation = yaml.load((root / "CITATION.cff").read_text(), yaml.BaseLoader)
    jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker()).validate(citation)
    assert citation["version"] == __version__
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({**citation, "authors": []})


def test_one_version_everywhere(root: Path) -> None:
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_changelog_has_the_form_of_keep_a_changelog(root: Path) -> None:
    text = (root / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.M)
    assert releases[0] == ("Unreleased", "")
    assert releases[1][0] == __version__
    assert all(date for _, date in releases[1:])
    kinds = set(re.findall(r"^### (.+)$", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_forms_for_issues_have_what_github_asks(root: Path) -> None:
    """Name, description and body; each field with a known type, a label, and an id of its own."""
    forms = [path for path in (root / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(forms) >= 3
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(form), path
        identifiers = [field["id"] for field in form["body"]]
        assert len(identifiers) == len(set(identifiers)), path
        for field in form["body"]:
            assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}, path
            assert field["attributes"]["label"], path


def test_the_version_names_the_commit_of_a_checkout_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package inside another project's repository must not name that project's commit."""
    monkeypatch.delenv("PETSCALE_GIT", raising=False)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert version_line(tmp_path) == f"petscale {__version__} (commit {head})"
    (tmp_path / "lib").mkdir()
    assert version_line(tmp_path / "lib") == f"petscale {__version__}"
    monkeypatch.setenv("PETSCALE_GIT", "abc")
    assert version_line(tmp_path / "lib") == f"petscale {__version__} (commit abc)"
