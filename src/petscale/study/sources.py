"""The source files of every stage, method and family, found from the imports. For development alone.

The sources of a stage are all modules that its entry imports, directly or not, also within functions. Two kinds of
modules end the search: those whose code moves no number (`NO_NUMBERS`), and those that belong to something with a
version of its own (`OWNED`).
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import petscale
from petscale.errors import BadInput
from petscale.study.stages import Kind, without_docstrings

if TYPE_CHECKING:
    import grimp

ROOT = Path(petscale.__file__).parent

NO_NUMBERS: Mapping[str, str] = {
    "petscale": "the package's version as text",
    "petscale.cli": "reads arguments and hands them on",
    "petscale.errors": "messages and exit codes",
    "petscale.cells.lock": "who may train a cell, not how",
    "petscale.cells.state": "tells how far a cell has come",
    "petscale.cells.spool": "keeps the metrics that tracking sends; no score is read from it",
    "petscale.training.progress": "tells how far a cell has come",
    "petscale.training.provenance": "describes machine and software",
    "petscale.training.telemetry": "reads the sensors of the machine",
    "petscale.study.stages": "versions and digests; a version is a parameter of its rule",
    "petscale.workspace.commit": "describes the commit",
    "petscale.tasks.registry": "the list of tasks and the look-up by name",
}
"""Modules and packages that belong to no stage, each with the reason why its code moves no number."""


@dataclass(frozen=True)
class Scope:
    """Where the search for a stage's sources begins and ends.

    Attributes:
        entries: modules that the stage runs.
        after: a stage whose output it reads. A change there remakes that output, and so this stage's: files of both
            are that stage's alone.
        also: modules of `NO_NUMBERS` that move numbers of this stage.
        by_code: the stage is cheap. It has no version: its rule's parameter is its code, methods and families included.
    """

    entries: tuple[str, ...]
    after: str | None = None
    also: tuple[str, ...] = ()
    by_code: bool = False


STAGES: Mapping[str, Scope] = {
    "prepare": Scope(("petscale.cli.prepare",)),
    "tokenize": Scope(("petscale.cli.tokenize",)),
    "backbone": Scope(("petscale.cli.backbone",)),
    "train": Scope(("petscale.training.run",)),
    "transfer": Scope(("petscale.cli.transfer",), after="train"),
    "measure": Scope(("petscale.training.measure",), after="train", also=("petscale.training.telemetry",)),
    "search": Scope(("petscale.search.rule",)),
    "collect": Scope(("petscale.cli.collect",), by_code=True),
    "analyse": Scope(("petscale.cli.analyse",), by_code=True),
    "report": Scope(("petscale.cli.report",), by_code=True),
}


@dataclass(frozen=True)
class Owner:
    """Things of one kind, each with modules and a version of its own.

    Attributes:
        register: the module that lists them; the rest of the project reaches their modules through it alone. It belongs
            to no stage, so that a new line in it makes nothing stale.
        type: of the things, as `module:class`.
        folder: a package whose modules are all theirs, helpers that several of them share included. None: theirs are
            the modules that the register imports, and each thing's are those below its module's package.
    """

    register: str
    type: str
    folder: str | None = None


OWNED: Mapping[Kind, Owner] = {
    "methods": Owner("petscale.tuning.methods.catalogue", "petscale.tuning.method:Method", "petscale.tuning.methods"),
    "families": Owner("petscale.families.catalogue", "petscale.families.family:Family"),
}


def find_sources() -> dict[Kind, dict[str, list[str]]]:
    """Kind -> name -> files below the package, sorted.

    Raises:
        BadInput: grimp is not installed, a module is imported past the register that should be its only importer, or
            an exclusion excludes nothing any more.
    """
    search = _Search()
    found: dict[Kind, dict[str, set[str]]] = {"stages": {}}
    for name, scope in STAGES.items():
        found["stages"][name] = search.files(scope.entries, whole=scope.by_code)
    train = found["stages"]["train"]
    for kind in OWNED:
        found[kind] = {name: search.files(modules, own=kind) - train for name, modules in search.modules[kind].items()}
    for name, scope in STAGES.items():
        if scope.after is not None:
            found["stages"][name] -= found["stages"][scope.after]
        found["stages"][name].update(file for module in scope.also for file in _code_of(module))
    search.refuse_leftovers()
    return {kind: {name: sorted(files) for name, files in entries.items()} for kind, entries in found.items()}


def things(kind: Kind) -> dict[str, Any]:
    """Name -> method or family, from the modules that the register imports."""
    return {thing.name: thing for module in _Search().listed(kind) for thing in _things_in(module, OWNED[kind])}


class _Search:
    """Walks over the graph of imports."""

    def __init__(self) -> None:
        try:
            import grimp
        except ImportError:
            raise BadInput("petscale stages: grimp is missing; `make lint` sets it up") from None
        # Lazy imports count, those for type checkers do not.
        self.graph: grimp.ImportGraph = grimp.build_graph(
            "petscale", exclude_type_checking_imports=True, cache_dir=None
        )
        self.used: set[str] = set()
        self.modules: dict[Kind, dict[str, set[str]]] = {kind: {} for kind in OWNED}
        for kind, owner in OWNED.items():
            for module in self.listed(kind):
                for thing in _things_in(module, owner):
                    self.modules[kind].setdefault(thing.name, set()).add(module)

    def listed(self, kind: Kind) -> list[str]:
        """The modules that a register imports and that hold its things."""
        owner = OWNED[kind]
        imported = sorted(self.graph.find_modules_directly_imported_by(owner.register))
        return [module for module in imported if _things_in(module, owner)]

    def files(
        self,
        entries: Iterable[str],
        *,
        own: Kind | None = None,
        whole: bool = False,
    ) -> set[str]:
        """The files of all that the entries import.

        Args:
            entries: where to begin.
            own: kind whose modules the entries are, and may import.
            whole: modules that are owned belong to it like others.

        Raises:
            BadInput: a module is imported that the entries may not import.
        """
        foreign = [] if whole else [module for kind in OWNED if kind != own for module in self._owned(kind)]
        registers = set() if whole else {owner.register for owner in OWNED.values()}
        seen, todo = set(entries), list(entries)
        while todo:
            importer = todo.pop()
            for module in self._imports(importer) - seen:
                if module in registers or self._is_excluded(module):
                    continue
                if _is_within(module, foreign):
                    if not any(owner.register.startswith(module + ".") for owner in OWNED.values()):
                        raise BadInput(f"{importer} imports {module}: only the register of its kind may")
                    continue
                seen.add(module)
                todo.append(module)
        kept = [module for module in seen if not _is_within(module, NO_NUMBERS.keys() - {"petscale"})]
        return {file for module in kept for file in (*_code_of(module), *_data_of(module))}

    def refuse_leftovers(self) -> None:
        """Raise where an exclusion has not excluded anything so far."""
        for module in sorted(NO_NUMBERS.keys() - self.used):
            raise BadInput(f"petscale.study.sources excludes {module}, which no stage imports; remove it there")

    def _owned(self, kind: Kind) -> Collection[str]:
        folder = OWNED[kind].folder
        return [folder] if folder else {module for modules in self.modules[kind].values() for module in modules}

    def _imports(self, module: str) -> set[str]:
        """What a module imports, and the packages in which all of it lies, since importing a module runs those too."""
        direct = self.graph.find_modules_directly_imported_by(module)
        return {package for name in (module, *direct) for package in (name, *_packages(name))}

    def _is_excluded(self, module: str) -> bool:
        found = [name for name in NO_NUMBERS if _is_within(module, [name]) and (name != "petscale" or module == name)]
        self.used.update(found)
        return bool(found)


def _packages(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _is_within(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def _things_in(module: str, owner: Owner) -> list[Any]:
    """Instances of the owner's type that a module makes, alone or in a tuple; what it only imports is not its own."""
    where, name = owner.type.split(":")
    kind = getattr(import_module(where), name)
    loaded = import_module(module)
    tree = ast.parse(Path(str(loaded.__file__)).read_bytes())
    imported = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    values = (value for key, value in vars(loaded).items() if key not in imported)
    flat = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return [value for value in flat if isinstance(value, kind)]


def _code_of(module: str) -> Sequence[str]:
    """The file of a module; none for a package that has nothing but a docstring."""
    path = ROOT.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if path.is_dir() and not without_docstrings(ast.parse(file.read_bytes())).body:
        return ()
    return (str(file.relative_to(ROOT)),)


def _data_of(module: str) -> Iterator[str]:
    """Files of a module's package that are no code: tables, templates."""
    path = ROOT.joinpath(*module.split(".")[1:])
    package = path if path.is_dir() else path.parent
    if package == ROOT:
        return
    for file in package.rglob("*"):
        inner = any((folder / "__init__.py").exists() for folder in file.parents if package in folder.parents)
        if file.is_file() and file.suffix not in (".py", ".pyc") and file.name != "stages.json" and not inner:
            yield str(file.relative_to(ROOT))
