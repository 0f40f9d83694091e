"""Made-up results of a plan with a known truth, decided by the same code as real ones.

They answer two questions. Before a study: how often would it decide a claim if the effect were as the paper says
(`power`)? And of the rules: how often do they support a claim that is false (`benchmarks/coverage.py`)?

A cell knows a share k of what can be known, in points of 100, plus noise of its seed. It scores

    tasks with labels  rank = chance + k (100 - chance) / 100;  exact match: the same once the model writes labels, or 0
    free text          k

Measurements and losses at the tried rates are drawn directly: a quantity of a method is that of full fine-tuning times
the method's ratio, with noise of each repeat, and a loss is that of the method, with noise of each search.

All cells write labels but those of the frozen backbone and those below the low threshold. The truth is in a `World`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from petscale.analysis import means
from petscale.analysis.claims import claims_table
from petscale.analysis.efficiency import measurements_table
from petscale.analysis.evidence import evidence_of, views
from petscale.analysis.rates import losses_table
from petscale.analysis.study_plan import StudyPlan, with_sweeps
from petscale.analysis.tidy import RANK, compared, tidy
from petscale.analysis.transfer import with_ratios
from petscale.analysis.transfer_scores import transfer_scores
from petscale.study.config.analysis import AnalysisSettings

Array = NDArray[np.float64]
_NOWHERE = Path("no-results")  # a folder without results: every cell of the plan is missing there
EVALUATIONS = 30


Curve = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class World:
    """The truth of a made-up study. A pair is the value on the smallest and on the largest backbone of a ladder.

    The defaults are effects as Su et al. state them (sections 4.2 and 5.3, appendix E): the largest gap among methods
    falls from about 10 points to about 2, low thresholds rise from 2,000 to 8,000 parameters and high ones fall, 90 %
    of full are reached just past the low one, adjacent converges in half of the steps, and transfer stays within a type
    at every size. Costs and losses are as Lialin et al. state them (sections 11.2 and 11.3): methods train slower than
    full at the smallest size alone, answer more slowly, need less memory than full, Kronecker factors as much as LoRA,
    and hybrids lose more at rates other than the best.

    Attributes:
        full: what full fine-tuning knows, in points.
        gap: largest gap among the methods, which are spread evenly below full.
        structure_gap: how far the worse of two structures lies below full.
        low: low threshold in parameters.
        high: high threshold in parameters.
        jump: share of full at the first budget past the low threshold.
        speed: steps to nine tenths of the best score of adjacent and of discrete, in shares of a run.
        within: share above chance that transfers within a type.
        across: share above chance that transfers across types.
        seed_sd: standard deviation over seeds of what a cell knows, in points.
        sd_of: the same for some pairs of backbone and method, in place of `seed_sd`.
        speed_sd: standard deviation over seeds of the log of the speed.
        train: training speed of a method as a share of that of full fine-tuning.
        inference: the same of inference, before a merge.
        memory: peak memory of training, as a share of that of full fine-tuning.
        memory_of: the same for some methods, in place of `memory`.
        cost_sd: standard deviation over repeats of the log of a cost.
        loss: points that a method loses at the rates that are tried, on average over them.
        loss_of: the same for some methods, in place of `loss`.
        curve: share of full by log10 budget, scale (0 to 1) and method (0 to 1), instead of `low`, `high` and `jump`.
    """

    full: float = 90.0
    gap: tuple[float, float] = (10.0, 2.0)
    structure_gap: tuple[float, float] = (8.0, 1.0)
    low: tuple[float, float] = (2_000.0, 8_000.0)
    high: tuple[float, float] = (200_000.0, 20_000.0)
    jump: float = 0.9
    speed: dict[str, float] = field(default_factory=lambda: {"adjacent": 0.25, "discrete": 0.5})
    within: float = 0.8
    across: tuple[float, float] = (0.05, 0.05)
    seed_sd: float = 2.0
    sd_of: Mapping[tuple[str, str], float] = field(default_factory=dict)
    speed_sd: float = 0.2
    train: tuple[float, float] = (0.8, 1.0)
    inference: float = 0.7
    memory: float = 0.6
    memory_of: Mapping[str, float] = field(default_factory=dict)
    cost_sd: float = 0.02
    loss: float = 10.0
    loss_of: Mapping[str, float] = field(default_factory=lambda: {"mam": 25.0, "unipelt": 25.0})
    curve: Curve | None = None


@dataclass(frozen=True)
class Mixed:
    """How the labels of a made-up study are permuted before its claims are decided; nothing by default."""

    scales: bool = False  # the two ends of a ladder change places, for half of the tasks and seeds
    methods: bool = False  # the methods that are compared with each other change places, for each task and seed anew
    constant: float | None = None  # every cell knows this and no more, and all methods cost and lose the same
    guessing: bool = False  # every zero-shot score is that of a constant guess


class Simulator:
    """Draws results of one plan. Tables that do not change between draws are made once."""

    def __init__(self, plan: StudyPlan, settings: AnalysisSettings) -> None:
        self._given = plan  # with its searches, which a sweep replaces below
        self.plan = plan = with_sweeps(plan)
        self.settings = settings
        every = tidy(plan, _NOWHERE)
        cells = compared(every).reset_index(drop=True)
        ends = cells.groupby("ladder")["scale"].transform("max").replace(0, 1)
        self._position = (cells["scale"] / ends).to_numpy(float)  # 0 on the smallest backbone, 1 on the largest
        self._cells = cells.assign(status="done", cause=None, notes="", score_n=1_000.0, learning_rate=0.0)
        self._transfers = transfer_scores(plan, self._cells, _NOWHERE)
        named = cells["experiments"].map(lambda names: "convergence" in names) & cells["structure"].notna()
        self._trained = np.flatnonzero(named.to_numpy(bool))
        self._rank_of = self._spread()
        self._runs = cells.groupby(["ladder", "task", "seed"], sort=False).ngroup().to_numpy()
        groups = cells["matches"].map(";".join).where(cells["structure"].notna() | ~self._in("methods"), "")
        keys = cells[["backbone", "task", "seed", "labels"]].assign(group=groups, budget=cells["budget"].fillna(0))
        free = ~cells["method"].isin(means.REFERENCES) & ~(self._in("threshold") & (groups == ""))
        self._measured = measurements_table(plan, _NOWHERE).assign(status="done", device="none")
        sizes = {ladder["name"]: max(len(ladder["backbones"]) - 1, 1) for ladder in plan["ladders"]}
        places = zip(self._measured["scale"], self._measured["ladder"], strict=True)
        self._measured_at = np.array([scale / sizes[ladder] for scale, ladder in places], float)
        self._losses = losses_table(self._given, every)
        self._compared = list(keys[free].groupby(list(keys), sort=False).groups.values())

    def claims(self, world: World, generator: np.random.Generator, mixed: Mixed | None = None) -> pd.DataFrame:
        """The claims of one draw."""
        mixed = mixed or Mixed()
        cells = self._drawn(world, generator, mixed)
        lines = self._curves(cells, world, generator, mixed)
        ratios = with_ratios(self._moved(cells, world, generator, mixed), self.settings)
        seen = views(self.plan, cells, lines, {}, self.settings)
        losses, measured = self._lost(world, generator, mixed), self._costs(world, generator, mixed)
        return claims_table(evidence_of(self._given, seen, ratios, losses, measured, self.settings))

    def _lost(self, world: World, generator: np.random.Generator, mixed: Mixed) -> pd.DataFrame:
        """What each method loses at the rates that it has tried."""
        table = self._losses
        loss = np.array([world.loss_of.get(name, world.loss) for name in table["method"]])
        if mixed.constant is not None:
            loss = np.full(len(table), world.loss)
        if mixed.methods:
            loss = _permuted(loss, table[["backbone", "task"]], generator)
        noise = generator.normal(0, world.seed_sd, len(table))
        return table.assign(loss=np.clip(loss + noise, 0.0, None))

    def _costs(self, world: World, generator: np.random.Generator, mixed: Mixed) -> pd.DataFrame:
        """Measurements of each repeat; without `constant`, methods differ from full fine-tuning."""
        table = self._measured
        full = (table["method"] == means.REFERENCES[0]).to_numpy(bool) | (mixed.constant is not None)
        memory = np.array([world.memory_of.get(name, world.memory) for name in table["method"]])
        ratios: dict[str, Array | float] = {
            "train": _between(world.train, self._measured_at),
            "inference": world.inference,
            "memory": memory,
        }
        drawn = {}
        for name, ratio in ratios.items():
            values = np.where(full, 1.0, ratio)
            if mixed.methods:
                values = _permuted(values, table[["backbone", "task", "seed"]], generator)
            drawn[name] = 1_000.0 * values * np.exp(generator.normal(0, world.cost_sd, len(table)))
        return table.assign(**drawn)

    def _in(self, experiment: str) -> pd.Series:
        return self._cells["experiments"].map(lambda names: experiment in names)

    def _spread(self) -> Array:
        """Place of each cell's method among the PET methods or among the APET ones, from 0 (best) to 1 (worst)."""
        share: dict[str, float] = dict.fromkeys(means.REFERENCES, 0.0)
        for _, part in means.groups(self._cells.assign(apet=self._cells["structure"].notna()), ["apet"]):
            names = [name for name in means.ordered(part["method"]) if name not in means.REFERENCES]
            share |= {name: index / max(len(names) - 1, 1) for index, name in enumerate(names)}
        place: Array = self._cells["method"].map(share).to_numpy(float)
        return place

    def _drawn(self, world: World, generator: np.random.Generator, mixed: Mixed) -> pd.DataFrame:
        cells = self._cells
        position = self._position.copy()
        if mixed.scales:
            flipped = (generator.random(self._runs.max() + 1) < 0.5)[self._runs]
            position = np.where(flipped, 1 - position, position)
        place = self._rank_of
        swept = cells["experiments"].map(lambda names: set(names) == {"threshold"}).to_numpy(bool)
        swept = swept & ~cells["method"].isin(means.REFERENCES).to_numpy(bool)
        matched = cells["structure"].notna().to_numpy(bool)
        gap = np.where(matched, _between(world.structure_gap, position), _between(world.gap, position))
        known = world.full - gap * place
        budget = cells["budget"].to_numpy(float)
        known[swept] = world.full * self._share(np.log10(budget[swept]), position[swept], place[swept], world)
        if mixed.methods:
            known = self._shuffled(known, generator)
        before = known
        known = known + generator.normal(0, self._scatter(world), len(cells))
        frozen = (cells["method"] == "frozen").to_numpy(bool)
        dumb = frozen | (swept & (before == 0))
        known[frozen] = 0.0
        if mixed.constant is not None:
            known = np.full(len(cells), mixed.constant) + generator.normal(0, 0.5, len(cells))
        known = np.clip(known, 0.0, 100.0)
        guess = cells["guess"].to_numpy(float)
        rank = guess + (100.0 - guess) * known / 100.0
        silent = dumb & (cells["chance"] < cells["guess"]).to_numpy(bool)
        written = np.where(silent, 0.0, rank)
        return cells.assign(score=written, dev=written, **{RANK: np.where(guess > 0, rank, np.nan)}, end=position)

    def _scatter(self, world: World) -> Array:
        """Standard deviation over seeds of each cell."""
        pairs = zip(self._cells["backbone"], self._cells["method"], strict=True)
        return np.array([world.sd_of.get(pair, world.seed_sd) for pair in pairs])

    def _share(self, x: Array, position: Array, place: Array, world: World) -> Array:
        """Share of full at a budget: nothing below the low threshold, `jump` from there on, all from the high one."""
        if world.curve is not None:
            return world.curve(x, position, place)
        low, high = (np.log10(_between_log(ends, position)) for ends in (world.low, world.high))
        return np.where(x < low, 0.0, np.where(x < high, world.jump, 1.0))

    def _shuffled(self, known: Array, generator: np.random.Generator) -> Array:
        """What cells know, changed between the methods of a backbone, task, seed and group of equal budget."""
        made = known.copy()
        for index in self._compared:
            made[index] = generator.permutation(known[index])
        return made

    def _curves(self, cells: pd.DataFrame, world: World, generator: np.random.Generator, mixed: Mixed) -> pd.DataFrame:
        chosen = cells.iloc[self._trained]
        structures = chosen["structure"].to_numpy(str)
        if mixed.methods:
            keys = chosen[["backbone", "task", "seed"]].assign(group=chosen["matches"].map(";".join))
            structures = structures.copy()
            for index in keys.groupby(list(keys), sort=False).indices.values():
                structures[index] = generator.permutation(structures[index])
        step = np.linspace(0.0, 1.0, EVALUATIONS + 1)
        reach = np.array([world.speed[name] for name in structures])
        reach = reach * np.exp(generator.normal(0, world.speed_sd, len(chosen)))
        base = np.where(chosen["chance"] < chosen["guess"], 0.0, chosen["guess"]).astype(float)
        best = chosen["dev"].to_numpy(float)
        rise = 1 - 0.1 ** (step[None, :] / reach[:, None])  # nine tenths of the way at `reach`
        dev = base[:, None] + (best - base)[:, None] * rise + generator.normal(0, 0.5, (len(chosen), len(step)))
        return pd.DataFrame(
            {
                "cell": np.repeat(chosen["cell"].to_numpy(str), len(step)),
                "step": np.tile(step * 10 * EVALUATIONS, len(chosen)),
                "dev": dev.ravel(),
            }
        )

    def _moved(self, cells: pd.DataFrame, world: World, generator: np.random.Generator, mixed: Mixed) -> pd.DataFrame:
        table = self._transfers
        by_cell = cells.set_index("cell")
        own = by_cell[RANK].where(by_cell["guess"] > 0, by_cell["score"])
        original = table["original_cell"].map(own).to_numpy(float)
        itself = (table["source"] == table["target"]).to_numpy(bool)
        position = table["source_cell"].map(by_cell["end"]).to_numpy(float)
        same = (table["source_kind"] == table["target_kind"]).to_numpy(bool)
        share = np.where(same, world.within, _between(world.across, position))
        chance = table["chance"].to_numpy(float)
        shown = chance + share * (original - chance) + generator.normal(0, world.seed_sd / 2, len(table))
        if mixed.guessing:
            shown = chance.copy()
        rank = np.where(itself, original, shown)
        defined = (table["status"] != "undefined").to_numpy(bool)
        rank = np.where(defined, rank, np.nan)
        status = np.where(defined, "done", "undefined")
        return table.assign(rank=rank, score=rank, original=original, original_rank=original, status=status)


def power(plan: StudyPlan, settings: AnalysisSettings, world: World, draws: int, seed: int = 0) -> pd.DataFrame:
    """How often the claims of a plan are decided if the truth is a given world.

    Returns:
        One row per claim, ladder and reading, with the shares of draws in which it is `supported`, `not supported`,
        `inconclusive` and `not measurable here`.
    """
    simulator, generator = Simulator(plan, settings), np.random.default_rng(seed)
    return shares([simulator.claims(world, generator) for _ in range(draws)])


def shares(drawn: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The share of each verdict over draws of a claims table, one row per claim, ladder and reading."""
    first = drawn[0][["id", "claim", "ladder", "reading"]]
    found = np.stack([table["verdict"].to_numpy(str) for table in drawn])
    verdicts = ("supported", "not supported", "inconclusive", "not measurable here")
    return first.assign(**{verdict: (found == verdict).mean(axis=0) for verdict in verdicts})


def quick(settings: AnalysisSettings, draws: int = 200) -> AnalysisSettings:
    """The same rules with fewer bootstrap draws, for simulations."""
    return settings.model_copy(update={"bootstrap_draws": draws})


def of_the_paper(plan: StudyPlan, seed_sd: float) -> World:
    """The effects that the paper states, with the scatter over seeds of a pilot.

    The budgets of the paper mean nothing for other backbones, so its factors between thresholds are placed in the range
    that the plan sweeps: low thresholds rise by a factor of 4 from a fifth of the way, and high ones fall towards them,
    by a factor of 10 where the range is wide enough.
    """
    plan = with_sweeps(plan)
    budgets = [cell["budget"] for cell in plan["cells"] if "threshold" in cell["experiments"] and cell.get("budget")]
    if not budgets:
        return World(seed_sd=seed_sd)
    first, last = min(budgets), max(budgets)
    low = first * (last / first) ** 0.2
    return World(seed_sd=seed_sd, low=(low, 4 * low), high=(0.6 * last, max(5 * low, 0.06 * last)))


def _between(ends: tuple[float, float], position: Array) -> Array:
    return ends[0] + (ends[1] - ends[0]) * position


def _between_log(ends: tuple[float, float], position: Array) -> Array:
    return np.exp(_between((float(np.log(ends[0])), float(np.log(ends[1]))), position))


def _permuted(values: Array, groups: pd.DataFrame, generator: np.random.Generator) -> Array:
    """Values that change places within each group."""
    made = values.copy()
    for index in groups.groupby(list(groups), sort=False).indices.values():
        made[index] = generator.permutation(values[index])
    return made
