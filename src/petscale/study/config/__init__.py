"""The study file as Pydantic models, with one module for each section."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError, model_validator

from petscale.artefacts.names import HubName, Name, StudyName
from petscale.errors import did_you_mean
from petscale.study.config.analysis import AnalysisSettings
from petscale.study.config.data import Data
from petscale.study.config.experiments import Experiments
from petscale.study.config.hardware import Hardware
from petscale.study.config.recipe import Recipe
from petscale.study.config.section import Section
from petscale.study.config.variants import Variant

__all__ = ["Data", "Experiments", "Hardware", "Ladder", "Recipe", "Study", "Variant"]


class Ladder(Section):
    """The backbones of one family in ascending size."""

    name: Name = Field(description="name of the family in figures")
    backbones: list[HubName] = Field(min_length=1, description="catalogue names or keys of `folders`, small to large")
    tasks: list[Name] | None = Field(
        None, min_length=1, description="those of the study's tasks that this ladder uses; all when absent"
    )


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
    variants: dict[Name, Variant] = Field(
        default={},
        description="methods run again with other options or recipe keys: name -> {method, options, recipe}",
    )
    experiments: Experiments = Field(description="the experiments to run, each with its backbones, tasks and seeds")
    analysis: AnalysisSettings = Field(
        default=AnalysisSettings(),
        description="margins, confidence level and rules of the analysis, set before the run",
    )
    hardware: Hardware = Field(default=Hardware(), description="the machine for which `petscale plan` estimates costs")

    @model_validator(mode="after")
    def _nothing_stands_twice(self) -> Study:
        lists: dict[str, list[Any]] = {
            "ladders": [ladder.name for ladder in self.ladders],
            "backbones": [b for ladder in self.ladders for b in ladder.backbones],
            "tasks": self.tasks,
            "seeds": self.seeds,
            **{f"ladders.{ladder.name}.tasks": ladder.tasks or [] for ladder in self.ladders},
        }
        for name, experiment in self.experiments.asked().items():
            for field in type(experiment).model_fields:
                if isinstance(value := getattr(experiment, field), list):
                    lists[f"experiments.{name}.{field}"] = value
        for key, values in lists.items():
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise ValueError(f"{key}: {twice[0]} stands twice")
        return self

    @model_validator(mode="after")
    def _selections_lie_in_the_study(self) -> Study:
        for ladder in self.ladders:
            for task in ladder.tasks or ():
                if task not in self.tasks:
                    hint = did_you_mean(task, self.tasks)
                    raise ValueError(f"ladders.{ladder.name}.tasks: {task} is not in the study's tasks{hint}")
        backbones = [b for ladder in self.ladders for b in ladder.backbones]
        for name, experiment in self.experiments.asked().items():
            for field, known in (("backbones", backbones), ("tasks", self.tasks), ("targets", self.tasks)):
                for value in getattr(experiment, field, None) or ():
                    if value not in known:
                        what = "tasks" if field == "targets" else field
                        hint = did_you_mean(value, known)
                        raise ValueError(f"experiments.{name}.{field}: {value} is not in the study's {what}{hint}")
        return self

    @model_validator(mode="after")
    def _ladder_recipes_are_recipes(self) -> Study:
        names = [entry.name for entry in self.ladders]
        for ladder in self.recipe_by_ladder:
            if ladder not in names:
                raise ValueError(f"recipe_by_ladder.{ladder}: no such ladder{did_you_mean(ladder, names)}")
            self._check_recipe(f"recipe_by_ladder.{ladder}", ladder)
        return self

    @model_validator(mode="after")
    def _variant_recipes_are_recipes(self) -> Study:
        for name in self.variants:
            for entry in self.ladders:
                self._check_recipe(f"variants.{name}.recipe", entry.name, name)
        return self

    def _check_recipe(self, place: str, ladder: str, method: str | None = None) -> None:
        try:
            self.recipe_for(ladder, method)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            text = first["msg"]
            if first["type"] == "extra_forbidden":
                text = f"no such key{did_you_mean(key, Recipe.model_fields)}"
            raise ValueError(f"{place}{'.' if key else ''}{key}: {text}") from None

    def recipe_for(self, ladder: str, method: str | None = None) -> Recipe:
        """The recipe of one ladder, and of one variant: the study's, with the keys that ladder and variant replace."""
        changes = [self.recipe_by_ladder.get(ladder, {})]
        if method in self.variants:
            changes.append(self.variants[method].recipe)
        found = self.recipe.model_dump()
        for each in changes:
            found |= each
        return Recipe.model_validate(found)

    def method_of(self, name: str) -> str:
        """The registered method that a name in the study stands for: a variant's, or the name itself."""
        return self.variants[name].method if name in self.variants else name

    def options_of(self, name: str) -> dict[str, Any]:
        """The options of a method or variant."""
        own = self.variants[name].options if name in self.variants else {}
        return {**self.method_options.get(self.method_of(name), {}), **own}
