"""Validation of names that become parts of paths, tags and commands."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from petscale.artefacts.layout import SHARED

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_HUB_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,79}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value) or ".." in value:
        raise ValueError(f"{value!r} is no plain name (letters, digits, '.', '_' and '-', 80 at most)")
    return value


def _check_hub_name(value: str) -> str:
    if not _HUB_NAME.fullmatch(value) or ".." in value:
        raise ValueError(f"{value!r} is neither a plain name nor owner/name")
    return value


def _check_study_name(value: str) -> str:
    if value in SHARED:
        raise ValueError(f"{value!r} is a folder that all studies share; choose another name")
    return _check_name(value)


Name = Annotated[str, AfterValidator(_check_name)]
HubName = Annotated[str, AfterValidator(_check_hub_name)]
StudyName = Annotated[str, AfterValidator(_check_study_name)]


def slug(name: str) -> str:
    """A hub name as one path component: `google/t5-v1_1-small` -> `google--t5-v1_1-small`."""
    return name.replace("/", "--")
