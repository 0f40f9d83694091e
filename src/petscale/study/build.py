"""Which cells a study has: each experiment adds those that it asks for to the grid.

Names are looked up in registries and shapes are given as an argument, so no file is read and nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from petscale import tasks as task_registry
from petscale.errors import BadInput
from petscale.families.registry import family_of
from petscale.study.cell import Cell, DataSpec
from petscale.study.config import Recipe, Study
from petscale.study.config.experiments import Search as SearchSettings
from petscale.study.config.experiments import Selection, Threshold
from petscale.study.counting import budgets_of, plan_of
from petscale.study.grid import TRIES, Backbone, Grid, PlannedTransfer, Use
from petscale.study.measurement import Measurement, code_versions, steps_in_all
from petscale.study.rates import RateSearch
from petscale.study.searches import Search
from petscale.tasks import LabelScheme, Task
from petscale.tuning.registry import lookup, matched_budget

UNTRAINED = "frozen"


def build_grid(study: Study, backbones: Mapping[str, Backbone]) -> Grid:
    """All cells and transfers of a study.

    Args:
        study: the validated study file.
        backbones: every backbone of the study's ladders, and a `<name>-random` one for each that an experiment
            `control` covers.

    Raises:
        BadInput: a task or method is unknown, a backbone cannot hold a budget, or a method has no such option.
    """
    return _Builder(study, backbones).build()


class _Builder:
    """Adds the cells of each experiment, in the order of the file; it has one method for each experiment."""

    def __init__(self, study: Study, backbones: Mapping[str, Backbone]) -> None:
        self.study = study
        self.grid = Grid(study, dict(backbones))
        self.tasks = {name: task_registry.lookup(name) for name in study.tasks}
        self._taken = {ladder.name: ladder.tasks or study.tasks for ladder in study.ladders}
        named = (None, *study.variants)
        self._recipes = {
            (ladder.name, name): study.recipe_for(ladder.name, name) for ladder in study.ladders for name in named
        }
        self._checked: set[tuple[str, str, int | None]] = set()
        self._fitting: set[tuple[str, str]] = set()
        self._rows = {name: self._data(task) for name, task in self.tasks.items()}

    def build(self) -> Grid:
        for name in self.study.experiments.asked():
            getattr(self, f"_{name}")()
        if not self.grid.cells and not self.grid.measurements:
            raise BadInput(f"{self.study.name}: experiments: none is asked for, so there is nothing to run")
        return self.grid

    # One method for each experiment -----------------------------------------------------------------------

    def _methods(self) -> None:
        asked = self.study.experiments.methods
        assert asked is not None
        for backbone, task, seed in self._walk(asked):
            for method in asked.methods:
                self._want(asked, self._use("methods", method), self._cell(backbone, task, method, seed))

    def _structure(self) -> None:
        asked = self.study.experiments.structure
        assert asked is not None
        for backbone, task, seed in self._walk(asked):
            self._want(asked, Use("structure"), self._cell(backbone, task, "full", seed))
            for group in asked.groups:
                self._want(asked, self._use("structure", group, group), self._cell(backbone, task, group, seed))
                for method in asked.structures:
                    cell = self._cell(backbone, task, method, seed, budget=self._match(backbone, group))
                    self._want(asked, self._use("structure", method, group), cell)

    def _convergence(self) -> None:
        asked = self.study.experiments.convergence
        assert asked is not None
        for backbone, task, seed in self._walk(asked):
            self._want(asked, Use("convergence"), self._cell(backbone, task, UNTRAINED, seed))
            for group in asked.match:
                for method in asked.structures:
                    cell = self._cell(backbone, task, method, seed, budget=self._match(backbone, group))
                    self._want(asked, self._use("convergence", method, group), cell)

    def _threshold(self) -> None:
        asked = self.study.experiments.threshold
        assert asked is not None
        for backbone, task, seed in self._walk(asked):
            for reference in ("full", UNTRAINED):
                for rate in self._rates(backbone, task, reference, asked):
                    cell = self._cell(backbone, task, reference, seed, head=asked.head, learning_rate=rate)
                    self._want(asked, Use("threshold"), cell)
            for method in asked.methods:
                for budget in asked.swept:
                    for rate in (None, *(asked.learning_rates or ())):  # None: the recipe's rate, always tried
                        cell = self._cell(
                            backbone, task, method, seed, budget=budget, head=asked.head, learning_rate=rate
                        )
                        self._want(asked, self._use("threshold", method), cell)

        if asked.search is not None:
            self._searches(asked, asked.search)

    def _want(self, asked: Selection, use: Use, cell: Cell) -> None:
        """Add a cell of an experiment, or with the first seed the search for its rate, which makes that cell."""
        if not asked.rates or not cell.steps:
            self.grid.add(cell, use)
            return
        seeds, rates = tuple(asked.seeds or self.study.seeds), tuple(sorted(set(asked.rates)))
        if cell.seed != seeds[0]:
            return  # a search has all seeds
        search = RateSearch(replace(cell, learning_rate=rates[0]), rates, seeds, self.study.mask_seed)
        for tried in search.tries:
            self.grid.add(tried, Use(TRIES, variant=use.variant))
        self.grid.add_search(search, use)

    def _rates(self, backbone: Backbone, task: Task, reference: str, asked: Threshold) -> list[float | None]:
        """As many rates for a reference as a swept budget has, in the same ratios to the recipe's rate.

        If budgets had the best of several rates and full fine-tuning a single one, high thresholds would be too low.
        None stands for the reference's own rate. A reference that trains nothing has no other.
        """
        own = self._cell(backbone, task, reference, self.study.seeds[0], head=asked.head)
        recipe = self._recipes[backbone.ladder, None]
        tuned = self._cell(backbone, task, asked.methods[0], self.study.seeds[0], checked=False).learning_rate
        swept = {*(asked.learning_rates or ()), tuned}
        ratios = sorted({rate / recipe.learning_rate for rate in swept} - {1.0})
        if not own.steps or not asked.learning_rates:
            return [None]
        return [None, *(float(f"{own.learning_rate * ratio:.3g}") for ratio in ratios)]

    def _searches(self, asked: Threshold, how: SearchSettings) -> None:
        seeds = tuple(asked.seeds or self.study.seeds)
        rule = self.study.analysis.threshold
        for backbone, task, seed in self._walk(asked):
            if seed != seeds[0]:
                continue  # a search has all seeds
            references = {
                reference: tuple(self._cell(backbone, task, reference, each, head=asked.head).path for each in seeds)
                for reference in ("full", UNTRAINED)
            }
            for method in asked.methods:
                first = self._cell(backbone, task, method, seed, head=asked.head, checked=False)
                smallest, held = self._budgets(first, backbone)
                largest = min(held, how.largest or held)
                if largest <= smallest:
                    raise BadInput(
                        f"{self.study.name}: key experiments.threshold.search.largest: {method} begins with {smallest}"
                        f" on {backbone.name}"
                    )
                search = Search(
                    dearest=self._cell(backbone, task, method, seed, budget=largest, head=asked.head),
                    seeds=seeds,
                    mask_seed=self.study.mask_seed,
                    smallest=smallest,
                    largest=largest,
                    frozen=references[UNTRAINED],
                    full=references["full"],
                    rise=rule.rise_points,
                    margin=rule.margin_points,
                    factor=how.factor,
                    cells=how.cells,
                    confidence=self.study.analysis.confidence,
                    reading=how.reading,
                    rates=tuple(sorted(self._recipes[backbone.ladder, None].learning_rate_by_budget.items())),
                )
                self.grid.add_search(search, self._use("threshold", method))

    def _transfer(self) -> None:
        asked = self.study.experiments.transfer
        assert asked is not None
        for backbone, task, seed in self._walk(asked):
            targets = [self.tasks[name] for name in asked.targets or asked.tasks or self.study.tasks]
            for method in asked.structures:
                cell = self._cell(
                    backbone,
                    task,
                    method,
                    seed,
                    budget=self._match(backbone, asked.match),
                    labels="unified" if task.has_labels else "words",
                )
                self.grid.add(cell, self._use("transfer", method, asked.match))
                source = self.grid.cells[cell.path]
                for target in targets:
                    if target.name != task.name and self._takes(backbone, target):
                        self._check_fit(backbone, target)
                        self.grid.transfers.append(PlannedTransfer(source, self._rows[target.name]))

    def _control(self) -> None:
        asked = self.study.experiments.control
        assert asked is not None
        controls = {b.control_of: b for b in self.grid.backbones.values() if b.control_of}
        for backbone, task, seed in self._walk(asked):
            for method in asked.methods:
                for rung in (backbone, controls[backbone.name]):
                    self._want(asked, self._use("control", method), self._cell(rung, task, method, seed))

    def _efficiency(self) -> None:
        asked = self.study.experiments.efficiency
        assert asked is not None
        for backbone, task, seed in self._walk(asked):
            for method in dict.fromkeys(("full", *asked.methods)):
                cell = self._cell(backbone, task, method, seed)
                if not cell.steps:
                    raise BadInput(
                        f"{self.study.name}: key experiments.efficiency.methods: {method} trains nothing on"
                        f" {backbone.name}, so it has no step to measure"
                    )
                steps = steps_in_all(asked.warmup_steps, asked.steps)
                self.grid.measure(
                    Measurement(
                        cell=replace(cell, steps=steps, evaluate_every=steps),
                        warmup_steps=asked.warmup_steps,
                        steps=asked.steps,
                        micro_batch=self.study.hardware.micro_batch,
                        device=self.study.hardware.name,
                        versions=code_versions(cell.method, backbone.shape.family),
                    ),
                    self._use("efficiency", method).variant,
                )

    # Parts ------------------------------------------------------------------------------------------------

    def _walk(self, asked: Selection) -> Iterator[tuple[Backbone, Task, int]]:
        names = asked.backbones or [b for ladder in self.study.ladders for b in ladder.backbones]
        for name in names:
            backbone = self.grid.backbones[name]
            for task in asked.tasks or self.study.tasks:
                if self._takes(backbone, self.tasks[task]):
                    for seed in asked.seeds or self.study.seeds:
                        yield backbone, self.tasks[task], seed

    def _takes(self, backbone: Backbone, task: Task) -> bool:
        """Whether a backbone's ladder uses a task, and its family can."""
        return task.name in self._taken[backbone.ladder] and family_of(backbone.shape).takes(task)

    def _use(self, experiment: str, name: str, match: str | None = None) -> Use:
        return Use(experiment, match, name if name in self.study.variants else None)

    def _match(self, backbone: Backbone, name: str) -> int:
        return matched_budget(backbone.shape, self.study.method_of(name), options=self.study.options_of(name))

    def _data(self, task: Task) -> DataSpec:
        data = self.study.data
        source = "mini" if task.source == "mini" else data.source
        rows = data.name if source == "local" else task.rows_version
        return DataSpec(
            task=task.name,
            version=task.version,
            source=source,
            rows=str(rows),
            dev_size=data.dev_size_by_task.get(task.name, data.dev_size),
            max_train=data.max_train,
            max_test=data.max_test,
            few_shot=data.few_shot,
            split_seed=data.split_seed,
            flaws=data.flaws if source == "local" else "refuse",
        )

    def _cell(
        self,
        backbone: Backbone,
        task: Task,
        name: str,
        seed: int,
        *,
        budget: int | None = None,
        head: str | None = None,
        learning_rate: float | None = None,
        labels: LabelScheme = "words",
        checked: bool = True,
    ) -> Cell:
        recipe: Recipe = self._recipes[backbone.ladder, name if name in self.study.variants else None]
        method = self.study.method_of(name)
        known = lookup(method)
        rate_of = name if name in recipe.learning_rate_by_method else method
        has_head = family_of(backbone.shape).has_head
        idle = method == UNTRAINED and (not has_head or (head or recipe.head) == "frozen")
        cell = Cell(
            backbone=backbone.name,
            weights=backbone.weights,
            data=self._rows[task.name],
            labels=labels,
            method=method,
            options=self.study.options_of(name),
            budget=budget,
            mask_seed=(seed if self.study.mask_seed is None else self.study.mask_seed) if known.takes_budget else None,
            seed=seed,
            head=(head or recipe.head) if has_head else None,
            precision=recipe.precision,
            steps=0 if idle else recipe.steps_of(task.name),
            evaluate_every=recipe.evaluate_every,
            batch_size=recipe.batch_size,
            learning_rate=learning_rate or recipe.rate(rate_of, known.learning_rate_key, task.name, budget),
            schedule=recipe.schedule,
            warmup_steps=recipe.warmup_of(task.name),
            weight_decay=recipe.weight_decay,
            clip_norm=recipe.clip_norm,
            dropout=recipe.dropout,
            gradient_checkpointing=recipe.gradient_checkpointing,
            masters=recipe.masters,
        )
        if checked:
            self._check(cell, backbone, name)
        return cell

    def _budgets(self, cell: Cell, backbone: Backbone) -> tuple[int, int]:
        try:
            return budgets_of(cell, backbone.shape)
        except BadInput as error:
            raise BadInput(f"{self.study.name}: {backbone.name}: {error}") from None

    def _check(self, cell: Cell, backbone: Backbone, name: str) -> None:
        """Refuse what cannot be trained, once for each (backbone, method, budget), and tasks that do not fit."""
        key = (backbone.name, name, cell.budget)
        if key not in self._checked:
            try:
                plan_of(cell, backbone.shape)
            except BadInput as error:
                raise BadInput(f"{self.study.name}: {backbone.name}: {error}") from None
            self._checked.add(key)
        self._check_fit(backbone, self.tasks[cell.task])

    def _check_fit(self, backbone: Backbone, task: Task) -> None:
        """Refuse a task that does not fit a backbone: each of its cells would wait for a device and then fail."""
        if (backbone.name, task.name) not in self._fitting:
            why = family_of(backbone.shape).misfit(backbone.shape, task)
            if why is not None:
                raise BadInput(f"{self.study.name}: {backbone.name}: {why}")
            self._fitting.add((backbone.name, task.name))
