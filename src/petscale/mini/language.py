"""The facts of the generated language (what is true of which person), and the random draws that make all its text.

Everything is drawn with `pick` and `flip`, which use only `random.Random.random`. This is the one method whose sequence
of numbers Python promises never to change, so the same seed gives the same text on every machine and version.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar, get_args

from petscale.mini.words import ACTS, BAD, GOOD, HOBBIES, JOBS, KINDS, LOOKS, PEOPLE, TOWNS

T = TypeVar("T")

WORLD_SEED = "petscale-mini-world-1"


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """Draw one of `items`, all with the same probability."""
    return items[int(rng.random() * len(items))]


def flip(rng: random.Random, chance: float) -> bool:
    """Return True with the given probability."""
    return rng.random() < chance


def shuffled(rng: random.Random, items: Sequence[T]) -> list[T]:
    """A copy of `items` in random order."""
    rest = list(items)
    return [rest.pop(int(rng.random() * len(rest))) for _ in items]


def others(items: Sequence[T], taken: T) -> list[T]:
    """`items` without the item `taken`."""
    return [item for item in items if item != taken]


def halves(items: Sequence[T]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Every second entry of a list, and the others. No fact can be guessed from those about the other half."""
    return tuple(items[0::2]), tuple(items[1::2])


@dataclass(frozen=True)
class Relation:
    """Sentences that state one fact about a person; `{n}` is the person, `{v}` the value."""

    values: tuple[str, ...]
    statements: tuple[str, ...]
    questions: tuple[str, ...]


RELATIONS: dict[str, Relation] = {
    "town": Relation(
        TOWNS,
        ("{n} lives in {v}", "the home of {n} is in {v}", "the town of {n} is called {v}"),
        ("where does {n} live ?", "in which town is the home of {n} ?"),
    ),
    "job": Relation(
        JOBS,
        ("{n} works as a {v}", "the job of {n} is {v}", "{n} is a {v} by trade"),
        ("what is the job of {n} ?", "as what does {n} work ?"),
    ),
    "hobby": Relation(
        HOBBIES,
        ("{n} enjoys {v}", "the hobby of {n} is {v}", "{n} spends the evenings with {v}"),
        ("what is the hobby of {n} ?", "what does {n} enjoy ?"),
    ),
}


def world() -> dict[str, dict[str, str]]:
    """What is true of each person: `world()[person][relation]` is the value.

    Each value occurs equally often in both halves of the people, and no relation predicts another. The best constant
    answer is therefore right for one person in thirty.
    """
    facts: dict[str, dict[str, str]] = {person: {} for person in PEOPLE}
    for name, relation in RELATIONS.items():
        rng = random.Random(f"{WORLD_SEED}/{name}")
        for half in halves(PEOPLE):
            cards = [relation.values[i % len(relation.values)] for i in range(len(half))]
            for person, value in zip(half, shuffled(rng, cards), strict=True):
                facts[person][name] = value
    return facts


Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

WORDS: Mapping[Split, tuple[int, ...]] = MappingProxyType({"train": (0, 3, 4), "dev": (1,), "test": (2, 5)})
"""Of each six consecutive words of a list, those that each split uses."""

NAMES: Mapping[Split, tuple[int, ...]] = MappingProxyType({"train": (0, 2, 4), "dev": (1,), "test": (3, 5)})
"""The same for people. Dev and test share the half whose facts cannot be guessed from those about train: if dev were
taken from the same half as train, no answer of train would ever be right in dev (see `world`)."""


@dataclass(frozen=True)
class Lexicon:
    """The words that a text may use: the corpus uses all; each split of a task has words that no other split has."""

    people: tuple[str, ...]
    kinds: dict[str, tuple[str, ...]]
    acts: tuple[tuple[str, str], ...]
    looks: tuple[tuple[str, str], ...]
    polar: dict[bool, tuple[str, ...]]


def part(items: Sequence[T], places: tuple[int, ...]) -> tuple[T, ...]:
    """The entries of a list at certain places of each six."""
    return tuple(item for index, item in enumerate(items) if index % 6 in places)


def _lexicon(split: Split) -> Lexicon:
    """The words of one split.

    Dev has words of its own, so that a checkpoint is chosen by what the backbone knows and not by what it memorised of
    the words of the training rows. With fewer words in train, a model would memorise them one by one.
    """
    words = WORDS[split]
    return Lexicon(
        people=part(PEOPLE, NAMES[split]),
        kinds={kind: part(nouns, words) for kind, nouns in KINDS.items()},
        acts=part(ACTS, words),
        looks=part(LOOKS, words),
        polar={True: part(GOOD, words), False: part(BAD, words)},
    )


WHOLE = Lexicon(PEOPLE, KINDS, ACTS, LOOKS, {True: GOOD, False: BAD})
LEXICONS: Mapping[Split, Lexicon] = MappingProxyType({split: _lexicon(split) for split in SPLITS})
