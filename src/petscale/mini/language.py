"""The facts of the generated language (what is true of which person), and the random draws that make all its text.

Everything is drawn with `pick` and `flip`, which use only `random.Random.random`. This is the one method whose sequence
of numbers Python promises never to change, so the same seed gives the same text on every machine and version.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

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
    """The tuning half and the test half of a word list: every second entry."""
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


@dataclass(frozen=True)
class Lexicon:
    """The words that a text may use: the corpus uses all, a task uses some for its train rows and the rest for test."""

    people: tuple[str, ...]
    kinds: dict[str, tuple[str, ...]]
    acts: tuple[tuple[str, str], ...]
    looks: tuple[tuple[str, str], ...]
    polar: dict[bool, tuple[str, ...]]


def thirds(items: Sequence[T]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Split a word list into two thirds for tuning and one third for test.

    With fewer words for tuning, a model would memorise them one by one, whatever the backbone knows.
    """
    return tuple(item for i, item in enumerate(items) if i % 3 != 2), tuple(items[2::3])


def _part(index: int) -> Lexicon:
    return Lexicon(
        people=halves(PEOPLE)[index],
        kinds={kind: thirds(nouns)[index] for kind, nouns in KINDS.items()},
        acts=thirds(ACTS)[index],
        looks=thirds(LOOKS)[index],
        polar={True: thirds(GOOD)[index], False: thirds(BAD)[index]},
    )


WHOLE = Lexicon(PEOPLE, KINDS, ACTS, LOOKS, {True: GOOD, False: BAD})
TUNING = _part(0)
TEST = _part(1)
