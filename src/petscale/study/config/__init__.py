"""The study file as Pydantic models, with one module for each section."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from petscale.artefacts.names import HubName, Name, StudyName
from petscale.study.config.analysis import AnalysisSettings
from petscale.study.config.data import Data
from petscale.study.config.experiments import Experiments
from petscale.study.config.hardware import Hardware
from petscale.study.config.recipe import Recipe
from petscale.study.config.section import Section

__all__ = ["Data", "Experiments", "Hardware", "Ladder", "Recipe", "Study"]


class Ladder(Section):
    """The backbones of one family in ascending size."""

    name: Name = Field(description="name of the family in figures")
    backbones: list[HubName] = Field(min_length=1, description="catalogue names or keys of `folders`, small to large")


class Study(Section):
    """A study file: ladders x tasks x methods x budgets x seeds, and the experiments that use them."""

    name: StudyName = Field(description="name of the study and of its folder below results/")
    description: str = Field("", description="one sentence that the report shows below its title")
    ladders: list[Ladder] = Field(min_length=1, description="ladders: backbones of one family, small to large")
    folders: dict[Name, str] = Field(
        default={},
        description="backbones from local folders: name -> folder (config.json, model.safetensors, tokenizer.json); "
        "$VARIABLES are expanded",
    )
    tasks: list[Name] = Field(min_length=1, description="tasks of the study; BERT ladders use only those with labels")
    data: Data = Field(default=Data(), description="where rows come from and how they are split")
    seeds: list[int] = Field(default=[1, 2, 3], min_length=1, description="training seeds")
    mask_seed: int | None = Field(
        None, ge=0, description="seed of the APET masks; when absent, each training seed has its own masks"
    )
    recipe: Recipe = Field(default=Recipe(), description="how a cell is trained")
    recipe_by_ladder: dict[Name, dict[str, Any]] = Field(
        default={}, description="recipe keys that differ in one ladder: ladder -> {key: value}"
    )
    method_options: dict[Name, dict[str, Any]] = Field(
        default={}, description="options of methods, e.g. lora: {rank: 4}; see `petscale methods`"
    )
    experiments: Experiments = Field(description="the experiments to run, each with its backbones, tasks and seeds")
    analysis: AnalysisSettings = Field(
        default=AnalysisSettings(),
        description="margins, confidence level and rules of the analysis, set before the run",
    )
    hardware: Hardware = Field(default=Hardware(), description="the machine for which `petscale plan` estimates costs")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Study:
        for what, names in (
            ("ladders", [ladder.name for ladder in self.ladders]),
            ("backbones", [b for ladder in self.ladders for b in ladder.backbones]),
            ("tasks", self.tasks),
            ("seeds", [str(seed) for seed in self.seeds]),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"{what}: {sorted(twice)[0]} stands twice")
        return self

    @model_validator(mode="after")
    def _selections_lie_in_the_study(self) -> Study:
        backbones = {b for ladder in self.ladders for b in ladder.backbones}
        for name, experiment in self.experiments.asked().items():
            for key, chosen, known in (
                ("backbones", experiment.backbones, backbones),
                ("tasks", experiment.tasks, set(self.tasks)),
            ):
                for value in chosen or ():
                    if value not in known:
                        raise ValueError(f"experiments.{name}.{key}: {value} is not in the study's {key}")
        return self

    @model_validator(mode="after")
    def _ladder_recipes_are_recipes(self) -> Study:
        for ladder in self.recipe_by_ladder:
            if ladder not in {entry.name for entry in self.ladders}:
                raise ValueError(f"recipe_by_ladder.{ladder}: no such ladder")
            self.recipe_for(ladder)
        return self

    def recipe_for(self, ladder: str) -> Recipe:
        """The recipe of one ladder: the study's recipe, with the keys that the ladder replaces."""
        changes = self.recipe_by_ladder.get(ladder, {})
        return Recipe.model_validate({**self.recipe.model_dump(), **changes})
