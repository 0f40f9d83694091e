"""A register: the objects of one kind by name, which code from outside the project may add to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Generic, Protocol, TypeVar

from petscale.errors import BadInput


class HasName(Protocol):
    """Something that plans call by its name."""

    name: ClassVar[str]


T = TypeVar("T", bound=HasName)


class Register(Mapping[str, T], Generic[T]):
    """Objects by their names, in the order in which they were listed."""

    def __init__(self, kind: str, entries: Iterable[T]) -> None:
        """
        Args:
            kind: what the objects are, for messages: "operation".
            entries: the project's own.
        """
        self._kind = kind
        self._entries: dict[str, T] = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> T:
        """The object of that name.

        Raises:
            BadInput: there is none; the line lists what there is.
        """
        found = self._entries.get(name)
        if found is None:
            raise BadInput(f"unknown {self._kind} {name!r}; {self._kind}s: {', '.join(self._entries)}")
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @contextmanager
    def registered(self, entry: T) -> Iterator[None]:
        """Within the context a further object exists: for packages that bring one, and for tests.

        Raises:
            BadInput: one of that name exists already.
        """
        if entry.name in self._entries:
            raise BadInput(f"{self._kind} {entry.name!r} exists already")
        self._entries[entry.name] = entry
        try:
            yield
        finally:
            del self._entries[entry.name]
