"""The tasks, as declarative entries with a version; this package reads no files and imports no torch."""

from petscale.tasks.registry import TASKS, lookup
from petscale.tasks.task import METRICS, Hub, Kind, LabelScheme, Task

__all__ = ["METRICS", "TASKS", "Hub", "Kind", "LabelScheme", "Task", "lookup"]
