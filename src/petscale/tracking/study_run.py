"""The MLflow run of a study: its report, tables, figures and configuration, and how its cells ended."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from petscale.artefacts.canonical import digest
from petscale.artefacts.files import write_atomically
from petscale.artefacts.layout import Layout
from petscale.study.config import Study
from petscale.tracking.points import Point
from petscale.tracking.trace import Subject, Trace


def study_subject(study: str) -> Subject:
    """The MLflow experiment and tag by which the run of a study is found."""
    return Subject("petscale studies", "study", study)


def read_study(study: Study, root: str, phases: Mapping[str, str], root_id: str) -> Trace | None:
    """Everything that the store should hold about a study; None if it has no report, plan or tables yet.

    Args:
        study: the resolved study.
        root: the folder of results.
        phases: phase of each cell that has one.
        root_id: `ledger.root_id` of that folder.
    """
    layout = Layout(root)
    folder = Path(layout.study(study.name))
    files = {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        # Tracking itself writes the one file that is left out.
        if path.is_file() and not path.name.startswith(".") and path != Path(layout.study_tracked(study.name))
    }
    if not files:
        return None
    config = Path(layout.tracked_study(study.name))
    document = study.model_dump(mode="json")
    write_atomically(config, json.dumps(document, indent=1, sort_keys=True) + "\n")
    files["study.json"] = config
    # The digest of the content serves as the attempt: a new report gets a new run, and the old run is deleted.
    sha = hashlib.sha256()
    for name, path in sorted(files.items()):
        sha.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    ts = max(path.stat().st_mtime_ns for name, path in files.items() if name != "study.json") // 1_000_000
    counts = Counter(phases.values())
    sha.update(json.dumps(sorted(counts.items())).encode())
    return Trace(
        subject=study_subject(study.name),
        name=study.name,
        attempt=sha.hexdigest()[:16],
        phase="done",
        started_ms=ts,
        ended_ms=ts,
        points={Point.of(f"cells/{phase}", ts, 0, count) for phase, count in counts.items()},
        params={"name": study.name, "digest": digest(document), "description": study.description or ""},
        tags={"status": "done", f"study.{study.name}": "1"},
        files=files,
        root=root_id,
    )
