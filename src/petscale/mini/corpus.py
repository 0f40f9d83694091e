"""Pre-training documents: natural text of the generated language, with no task template and no label in it.

Each kind of document makes one relation predictive from context alone:

- `life`: facts about one person, whose name is the only clue;
- `review`: sentences of one polarity ("but" turns it);
- `reasoning`: after "so" or "surely" stands what follows from the sentence before (an apple is a fruit), after "but
  also" or "besides" what does not;
- `rewording`: after "that is" stands the same in other words, after "and then" something else;
- `talk`: two people agree on a plan, and "in short" tells it again;
- `spelling`: words of a lesson, so that no word of the vocabulary is unseen.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable

from petscale.mini.language import RELATIONS, WHOLE, flip, pick, shuffled, world
from petscale.mini.scenes import feelings, inference, plan, rewording
from petscale.mini.words import ACTS, KINDS, LESSONS, LOOKS, PEOPLE

Document = tuple[str, ...]
"""Sentences and clauses in order; words and marks are separated by single spaces."""

FOLLOWS: tuple[Document, ...] = (
    ("{a} ,", "so {b} ."),
    ("{a} .", "surely {b} ."),
    ("{b} ,", "because {a} ."),
    ("{a} .", "{b} , of course ."),
)
SAME: tuple[Document, ...] = (
    ("{a} ,", "that is , {b} ."),
    ("{a} .", "in other words {b} ."),
    ("{a} .", "{b} , it means the same ."),
)
APART: tuple[Document, ...] = (
    ("{a} ,", "but also {b} ."),
    ("{a} .", "besides {b} ."),
    ("{a} ,", "and then {b} ."),
    ("{a} .", "{b} , too ."),
)

WORLD = world()


def life(rng: random.Random) -> Document:
    """Two facts about one person, in random order and wording."""
    person = pick(rng, PEOPLE)
    return tuple(
        pick(rng, RELATIONS[name].statements).format(n=person, v=WORLD[person][name]) + " ."
        for name in shuffled(rng, tuple(RELATIONS))[:2]
    )


def review(rng: random.Random) -> Document:
    """Two sentences of one polarity, or two that "but" sets apart."""
    good = flip(rng, 0.5)
    if flip(rng, 0.15):
        (one,), (other,) = feelings(rng, WHOLE, good, 1), feelings(rng, WHOLE, not good, 1)
        return f"{one} ,", f"but {other} ."
    return tuple(f"{sentence} ." for sentence in feelings(rng, WHOLE, good, 2))


def reasoning(rng: random.Random) -> Document:
    """A step of reasoning, or a list of things of one kind."""
    if flip(rng, 0.25):
        kind = pick(rng, tuple(KINDS))
        first, second, third = shuffled(rng, KINDS[kind])[:3]
        return f"the {first} , the {second} and the {third} ,", f"all is {kind} ."
    follows = flip(rng, 0.6)
    premise, hypothesis = inference(rng, WHOLE, follows)
    return _joined(rng, FOLLOWS if follows else APART, premise, hypothesis)


def restating(rng: random.Random) -> Document:
    """A sentence followed by its rewording or by something else, or what words mean."""
    if flip(rng, 0.25):
        pairs = [pick(rng, (*ACTS, *LOOKS)) for _ in range(2)]
        return tuple(f"{' means '.join(pair if flip(rng, 0.5) else pair[::-1])} ." for pair in pairs)
    same = flip(rng, 0.6)
    return _joined(rng, SAME if same else APART, *rewording(rng, WHOLE, same, keep=0.1))


def _joined(rng: random.Random, forms: tuple[Document, ...], first: str, second: str) -> Document:
    return tuple(clause.format(a=first, b=second) for clause in pick(rng, forms))


def talk(rng: random.Random) -> Document:
    """A dialogue and what it comes to."""
    dialogue, summary = plan(rng, WHOLE)
    return dialogue, f"in short , {summary} ."


def spelling(rng: random.Random) -> Document:
    """A lesson with words that other documents lack."""
    return tuple(f"{pick(rng, PEOPLE)} spelled the word {pick(rng, LESSONS)} ." for _ in range(3))


MIXTURE: tuple[tuple[float, Callable[[random.Random], Document]], ...] = (
    (0.22, life),
    (0.22, review),
    (0.20, reasoning),
    (0.26, restating),
    (0.08, talk),
    (0.02, spelling),
)
"""Share of each kind of document; the shares sum to 1."""


def documents(count: int, seed: str) -> list[Document]:
    """`count` documents of the mixture; equal seeds give equal documents on every machine."""
    rng = random.Random(f"petscale-mini-corpus-1/{seed}")
    out: list[Document] = []
    for _ in range(count):
        level, chosen = rng.random(), MIXTURE[-1][1]
        for share, write in MIXTURE:
            level -= share
            if level < 0:
                chosen = write
                break
        out.append(chosen(rng))
    return out


def digest(texts: Iterable[Document]) -> str:
    """SHA-256 over the documents, one sentence a line and an empty line after each document."""
    total = hashlib.sha256()
    for text in texts:
        total.update(("\n".join(text) + "\n\n").encode())
    return total.hexdigest()
