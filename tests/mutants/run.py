"""`make mutants`: change the code that moves numbers, one place at a time, and see whether the tests notice.

Prints, for each file, how many changes were noticed (killed), which were not (survived), and why those need not be:
explained.toml. Ends with an error where a change survives that is not explained there, where an explanation fits no
survivor any more, and where one of the named mistakes (named.toml) goes unnoticed.

    python -m mutants.run [--results FOLDER] [--limit N] [named | FILE ...]

Without arguments: the named mistakes, then all files of files.toml. Outcomes are kept in FOLDER (results/mutants) and
used again as long as the changed file stays as it is; remove it for a fresh run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants.places import Change, changes
from mutants.trial import SOURCE, Copy, load_libraries

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SLOWEST = 3  # times what the tests take on the unchanged code, and 10 s: then a change made them hang


class Kept:
    """Outcomes of earlier runs, one JSON object a line.

    What was noticed once is taken for noticed as long as the changed file is the same. What survived is tried again
    when a test file has changed.
    """

    def __init__(self, path: Path, tests: Path) -> None:
        """`path` is the file of outcomes, `tests` the folder of the tests that are run."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._tests = path, tests
        lines = path.read_text().splitlines() if path.exists() else []
        self._known: dict[str, dict[str, Any]] = {row["change"]: row for row in map(json.loads, lines)}

    def find(self, text: str, tests: Sequence[str]) -> tuple[bool, str | None]:
        """Whether the outcome is known, and the test that noticed the change."""
        row = self._known.get(_digest(text))
        known = row is not None and (row["killed_by"] is not None or row["tests"] == self._version(tests))
        return known, row["killed_by"] if row and known else None

    def keep(self, text: str, tests: Sequence[str], killed_by: str | None) -> None:
        row = {"change": _digest(text), "tests": self._version(tests), "killed_by": killed_by}
        self._known[row["change"] or ""] = row
        with open(self._path, "a") as handle:
            handle.write(json.dumps(row) + "\n")

    def _version(self, tests: Sequence[str]) -> str:
        return _digest(*((self._tests / test.partition("::")[0]).read_text() for test in tests))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


@dataclass
class Bench:
    """Where trials are made."""

    copy: Copy
    kept: Kept

    def limit(self, tests: Sequence[str]) -> float:
        """Seconds that a trial of these tests may take.

        Raises:
            SystemExit: they fail on the unchanged code.
        """
        plain = self.copy.test(list(tests), 3600.0, compiles=True)
        if plain.killed_by is not None:
            sys.exit(f"{plain.killed_by}: fails on the unchanged code")
        return SLOWEST * plain.seconds + 10

    def trial(self, file: str, text: str, tests: Sequence[str], limit_s: float) -> str | None:
        """The test that notices a changed file; None where none does."""
        known, killed_by = self.kept.find(text, tests)
        if not known:
            path = self.copy.folder / SOURCE / file
            whole = path.read_text()
            path.write_text(text)
            try:
                killed_by = self.copy.test(list(tests), limit_s).killed_by
            finally:
                path.write_text(whole)
            self.kept.keep(text, tests, killed_by)
        return killed_by


def named_mistakes(bench: Bench) -> bool:
    """Make each mistake of named.toml; True where all are noticed."""
    print("named mistakes")
    fine = True
    for mistake in read("named")["mutant"]:
        text = (bench.copy.folder / SOURCE / mistake["file"]).read_text()
        changed = text.replace(mistake["old"], mistake["new"])
        killer = bench.trial(mistake["file"], changed, [mistake["test"]], 600.0)
        fine &= killer is not None
        print(
            f"  {'survived' if killer is None else 'killed'}  {mistake['name']}: {killer or mistake['test']}",
            flush=True,
        )
    return fine


def file_changes(bench: Bench, file: str, entry: Mapping[str, Any], limit: int | None) -> bool:
    """Make every change of a file; True where each survivor is explained, and each explanation has a survivor."""
    found = list(changes(bench.copy.folder / SOURCE / file, entry.get("functions", ())))
    whole = limit is None or len(found) <= limit
    if not whole:
        found = random.Random(file).sample(found, limit or 0)
    limit_s = bench.limit(entry["tests"])
    survivors: list[Change] = []
    for number, change in enumerate(found, start=1):
        if bench.trial(file, change.text, entry["tests"], limit_s) is None:
            survivors.append(change)
        if sys.stderr.isatty():
            print(f"\r{file} {number}/{len(found)}", end="\r", file=sys.stderr)
    reasons = explanations(file)
    explained = {pair: reasons[pair] for pair in ((c.before, c.after) for c in survivors) if pair in reasons}
    left = [change for change in survivors if (change.before, change.after) not in explained]
    idle = [pair for pair in reasons if whole and pair not in explained]
    part = "" if whole else " (a part of all)"
    print(
        f"{file}: {len(found)} changes{part}, {len(found) - len(survivors)} killed, {len(survivors)} survived, "
        f"{len(survivors) - len(left)} of these explained"
    )
    for reason in dict.fromkeys(explained.values()):
        print(f"  {sum(r == reason for r in explained.values())} explained: {reason}")
    for change in left:
        print(f"  NOT EXPLAINED, line {change.line}: {change.before}\n{'':24}-> {change.after}")
    for before, after in idle:
        print(f"  explained.toml fits no survivor: {before}\n{'':24}-> {after}")
    sys.stdout.flush()
    return not left and not idle


def explanations(file: str) -> dict[tuple[str, str], str]:
    """(line before, line after) -> why no test can or need notice."""
    return {
        (entry["before"], after): entry["why"] for entry in read("explained").get(file, ()) for after in entry["after"]
    }


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{name}.toml").read_text())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="named, or files below src/petscale; all when none is given")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "mutants", help="where outcomes are kept")
    parser.add_argument("--limit", type=int, help="changes a file at most, drawn at random but always the same ones")
    asked = parser.parse_args(argv)
    files = read("files")
    what = asked.what or ["named", *files]
    for name in what:
        if name != "named" and name not in files:
            parser.error(f"{name}: not in files.toml")
    load_libraries()
    copy = Copy(ROOT)
    try:
        bench = Bench(copy, Kept(asked.results / "outcomes.jsonl", copy.folder / "tests"))
        fine = [
            named_mistakes(bench) if name == "named" else file_changes(bench, name, files[name], asked.limit)
            for name in what
        ]
    finally:
        copy.remove()
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
