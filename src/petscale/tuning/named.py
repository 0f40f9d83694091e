"""A register: the objects of one kind by name, to which code outside this project can add."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Generic, Protocol, TypeVar

from petscale.errors import BadInput


class HasName(Protocol):
    """An object to which plans refer by its name."""

    name: ClassVar[str]


T = TypeVar("T", bound=HasName)


class Register(Mapping[str, T], Generic[T]):
    """Objects by their names, in the order in which they were listed."""

    def __init__(self, kind: str, entries: Iterable[T]) -> None:
        """List the objects of this project.

        Args:
            kind: the kind of the objects, for messages, such as "operation".
            entries: the objects of this project.
        """
        self._kind = kind
        self._entries: dict[str, T] = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> T:
        """The object of that name.

        Raises:
            BadInput: there is no such object; the message lists all names.
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
        """Context in which one more object is known, for other packages that have one, and for tests.

        Raises:
            BadInput: there already is an object of that name.
        """
        if entry.name in self._entries:
            raise BadInput(f"{self._kind} {entry.name!r} exists already")
        self._entries[entry.name] = entry
        try:
            yield
        finally:
            del self._entries[entry.name]
