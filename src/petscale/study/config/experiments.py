"""The experiments of a study. Each names the cells that it needs; experiments share cells."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from petscale.artefacts.names import HubName, Name
from petscale.study.config.section import Rate, Section


class Selection(Section):
    """The backbones, tasks and seeds of an experiment; an absent key means all of the study's."""

    backbones: list[HubName] | None = Field(None, min_length=1, description="backbones; all of the ladders when absent")
    tasks: list[Name] | None = Field(None, min_length=1, description="tasks; all of the study's when absent")
    seeds: list[int] | None = Field(None, min_length=1, description="training seeds; the study's when absent")
    rates: list[Rate] | None = Field(
        None,
        min_length=1,
        description="learning rates that every method tries with the first seed; the best on dev is used for all "
        "seeds. The recipe's when absent",
    )


class Methods(Selection):
    """Published methods compared with full fine-tuning (Su et al. figures 1 and 3)."""

    methods: list[Name] = Field(
        default=["full", "prompt", "bitfit", "lora", "adapter"], min_length=1, description="methods to compare"
    )


class Structure(Selection):
    """Groups of equal budget: each PET method compared with APET (Su et al. figure 5, table 2)."""

    groups: list[Name] = Field(
        default=["prompt", "bitfit", "lora", "adapter"],
        min_length=1,
        description="PET methods; each defines a group, all of whose methods train as many parameters as it",
    )
    structures: list[Name] = Field(
        default=["apet-adjacent", "apet-discrete"], min_length=1, description="APET methods in each group"
    )


class Convergence(Selection):
    """Steps to convergence of adjacent and discrete (Su et al. figure 6)."""

    match: list[Name] = Field(default=["lora"], min_length=1, description="PET methods whose budget is used")
    structures: list[Name] = Field(
        default=["apet-adjacent", "apet-discrete"], min_length=1, description="APET methods to compare"
    )


SWEPT = [400, 800, 1_600, 3_200, 7_900, 8_500, 50_000, 200_000, 800_000]
"""Budgets of a sweep for which the study names none."""


class Search(Section):
    """Budgets that follow from results, in place of a fixed list (docs/threshold-search.md)."""

    factor: float = Field(
        1.5, gt=1, description="a threshold is known when the ends of its interval differ by at most this factor"
    )
    cells: int = Field(
        12, ge=1, description="most cells of one search: a backbone, task and method, all seeds together"
    )
    largest: int | None = Field(
        None, ge=2, description="largest budget to try; what the method can hold on the backbone when absent"
    )
    reading: Literal["knowledge", "published"] = Field(
        "knowledge",
        description="score to follow: knowledge is that of the most probable label, published is the task's metric",
    )


class Threshold(Selection):
    """Score against budget (Su et al. figure 7), with `full` and `frozen` as its two reference lines."""

    methods: list[Name] = Field(
        default=["apet-adjacent", "apet-discrete"], min_length=1, description="methods whose budget is swept"
    )
    budgets: list[Annotated[int, Field(ge=1)]] | None = Field(
        None,
        min_length=2,
        description="exact numbers of trained parameters; when absent, those of `search`, or nine from 400 to 800,000",
    )
    search: Search | None = Field(
        None, description="let the budgets follow from the results, from 1 to what a method can hold"
    )
    learning_rates: list[Rate] | None = Field(
        None,
        min_length=1,
        description="rates to try at each budget in addition to the recipe's; the best on dev is used. Full "
        "fine-tuning tries as many, in the same ratios to its own rate",
    )
    head: str | None = Field(
        "frozen",
        pattern="^(trained|frozen)$",
        description="BERT's head in this experiment; with frozen, only the delta is trained",
    )

    @property
    def swept(self) -> list[int]:
        """The budgets of the fixed sweep; none if a search decides them."""
        return [] if self.search else self.budgets or SWEPT

    @model_validator(mode="after")
    def _search_decides_alone(self) -> Threshold:
        if self.search is not None and self.budgets is not None:
            raise ValueError("budgets: a search decides them; give one of `budgets` and `search`")
        for key in ("learning_rates", "rates"):
            if self.search is not None and getattr(self, key) is not None:
                raise ValueError(f"{key}: a search trains each budget at the recipe's rate alone")
        if self.learning_rates is not None and self.rates is not None:
            raise ValueError("rates: give one of `rates` and `learning_rates`")
        return self


class Transfer(Selection):
    """Zero-shot transfer with unified labels (Su et al. appendix E, figure 9)."""

    structures: list[Name] = Field(
        default=["apet-adjacent", "apet-discrete"], min_length=1, description="APET methods to transfer"
    )
    match: Name = Field("lora", description="PET method whose budget is used")
    targets: list[Name] | None = Field(None, min_length=1, description="target tasks; the sources when absent")

    @model_validator(mode="after")
    def _sources_are_known(self) -> Transfer:
        if self.rates is not None:
            raise ValueError("rates: the source cells of transfers are trained at the recipe's rates")
        return self


class Control(Selection):
    """The same methods on a randomly initialised backbone, to see whether pre-training matters."""

    methods: list[Name] = Field(default=["lora"], min_length=1, description="methods to repeat on random weights")


class Efficiency(Selection):
    """Speed, memory, energy and storage of methods, each measured alone on its device (docs/efficiency.md).

    A measurement is repeated once for each seed, which decides the order of the rows. All methods have the same rows in
    the same order, so a repeat of a method and one of full fine-tuning are a pair.
    """

    methods: list[Name] = Field(
        default=["full", "prompt", "bitfit", "lora", "adapter"],
        min_length=1,
        description="methods to measure; full fine-tuning, to which they are compared, always is",
    )
    warmup_steps: int = Field(10, ge=1, description="steps, and batches of inference, before the first measured one")
    steps: int = Field(50, ge=4, description="measured steps, and measured batches of inference")

    @model_validator(mode="after")
    def _rates_move_no_speed(self) -> Efficiency:
        if self.rates is not None:
            raise ValueError("rates: speed and memory are measured at the recipe's rates")
        return self


class Experiments(Section):
    """Experiments of the study; one that is absent is not run."""

    methods: Methods | None = Field(None, description="figures 1 and 3")
    structure: Structure | None = Field(None, description="figure 5 and table 2")
    convergence: Convergence | None = Field(None, description="figure 6")
    threshold: Threshold | None = Field(None, description="figure 7")
    transfer: Transfer | None = Field(None, description="figure 9")
    control: Control | None = Field(None, description="randomly initialised backbones, only for mini ladders")
    efficiency: Efficiency | None = Field(None, description="speed, memory, energy; table 5 of Lialin et al. (2024)")

    def asked(self) -> dict[str, Selection]:
        """The experiments that the study contains, by name."""
        found: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: experiment for name, experiment in found.items() if experiment is not None}
