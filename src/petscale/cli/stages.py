"""`petscale stages`: versions of stages, methods and families, and whether their code has changed since."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from petscale.errors import BadInput
from petscale.study.stages import Kind

_WAIVERS_KEPT = 3  # the last ones since a bump; older ones stand in the history of the file

_SAY_VERSIONS: tuple[Kind, ...] = ("methods",)
"""Kinds whose versions stand in their own files; stages.json repeats them."""

Document = dict[str, dict[str, dict[str, Any]]]


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale stages`."""
    parser = subparsers.add_parser("stages", help="versions of the stages and the code that they stand for")
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--check", action="store_true", help="exit 2 when sources are not those of the imports, or code changed"
    )
    change.add_argument("--update", action="store_true", help="list the sources anew, from the imports")
    change.add_argument(
        "--bump", nargs="+", metavar="NAME", help="its numbers may change: raise the version of a stage or a family"
    )
    change.add_argument(
        "--waive", nargs="+", metavar="NAME", help="its numbers do not change; last comes why. `all`: all that changed"
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print, check or record the versions of the stages; return the exit code."""
    from petscale.study import stages

    path = Path(stages.__file__).with_name("stages.json")
    document: Document = json.loads(path.read_text())
    if not (args.check or args.update or args.bump or args.waive):
        _show(document)
        return 0
    fresh = _with_sources_of_imports(document)
    if args.check:
        _check(document, fresh)
        return 0
    if args.bump:
        for kind, name in _named(fresh, args.bump):
            _bump(kind, name, fresh[kind][name])
    elif args.waive:
        if len(args.waive) < 2:
            raise BadInput("petscale stages: --waive NAME... WHY: why do its numbers not change?")
        *names, why = args.waive
        for kind, name in list(_changed(fresh)) if names == ["all"] else _named(fresh, names):
            _waive(name, fresh[kind][name], why)
    path.write_text(json.dumps(fresh, indent=1, sort_keys=True) + "\n")
    _show(fresh)
    return 0


def _with_sources_of_imports(document: Document) -> Document:
    """The document with today's sources and versions; the code that a version stands for stays.

    What is new is entered with the code that it has. A method says its version itself: where it was raised, the
    entry stands for today's code.
    """
    from petscale.study.sources import STAGES, find_sources, things
    from petscale.study.stages import digest_of

    versions: dict[str, dict[str, int]] = {
        kind: {name: int(thing.version) for name, thing in things(kind).items()} for kind in _SAY_VERSIONS
    }
    fresh: Document = {}
    for kind, found in find_sources().items():
        fresh[kind] = {}
        for name, sources in found.items():
            if kind == "stages" and STAGES[name].by_code:
                fresh[kind][name] = {"sources": sources}
                continue
            entry = dict(document.get(kind, {}).get(name) or {"version": 1, "code": digest_of(sources)})
            said = versions[kind][name] if kind in versions else entry["version"]
            if said != entry["version"]:
                entry = {"version": said, "code": digest_of(sources)}
            fresh[kind][name] = {**entry, "sources": sources}
    return fresh


def _changed(document: Document) -> Iterator[tuple[str, str]]:
    from petscale.study.stages import digest_of

    for kind, entries in document.items():
        for name, entry in entries.items():
            if "code" in entry and entry["code"] != digest_of(entry["sources"]):
                yield kind, name


def _check(document: Document, fresh: Document) -> None:
    """Raise where the file is not what the imports say, or code changed without a version or a waiver."""
    changed = [name for _, name in _changed(fresh)]
    if changed:
        raise BadInput(
            f"stages.json: code of {', '.join(changed)} changed: `petscale stages --waive NAME... WHY` if its "
            "numbers do not, else `--bump NAME...`, or the next version in the file of a method"
        )
    other = [
        name
        for kind in sorted({*document, *fresh})
        for name in sorted({*document.get(kind, {}), *fresh.get(kind, {})})
        if document.get(kind, {}).get(name) != fresh.get(kind, {}).get(name)
    ]
    if other:
        raise BadInput(f"stages.json: imports or versions of {', '.join(other)} changed: `petscale stages --update`")


def _bump(kind: str, name: str, entry: dict[str, Any]) -> None:
    from petscale.study.stages import digest_of

    if kind in _SAY_VERSIONS:
        raise BadInput(f"petscale stages: --bump {name}: a version of {kind} stands in its own file; raise it there")
    if "version" not in entry:
        raise BadInput(f"petscale stages: --bump {name}: it has no version, its code is what it reruns for")
    entry |= {"version": entry["version"] + 1, "code": digest_of(entry["sources"])}
    entry.pop("waivers", None)


def _waive(name: str, entry: dict[str, Any], why: str) -> None:
    from petscale.study.stages import digest_of

    if "version" not in entry:
        raise BadInput(f"petscale stages: --waive {name}: it has no version, its code is what it reruns for")
    entry["code"] = digest_of(entry["sources"])
    entry["waivers"] = [*entry.get("waivers", []), why][-_WAIVERS_KEPT:]


def _named(document: Document, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        kinds = [kind for kind, entries in document.items() if name in entries]
        if not kinds:
            known = ", ".join(entry for entries in document.values() for entry in entries)
            raise BadInput(f"petscale stages: no {name!r}; there are {known}")
        yield from ((kind, name) for kind in kinds)


def _show(document: Document) -> None:
    changed = set(_changed(document))
    for kind, entries in document.items():
        for name, entry in entries.items():
            said = f"version {entry['version']}  code {entry['code']}" if "code" in entry else "reruns by its code"
            print(f"{kind:9} {name:16} {said}{'  CHANGED' if (kind, name) in changed else ''}")
