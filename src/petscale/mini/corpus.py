"""The documents for pre-training: plain text of the generated language, without any task template or label.

Each kind of document lets the model learn one relation by predicting words from their context:

- `life`: facts about one person, which only the person's name can predict;
- `review`: positive or negative sentences ("but" changes the side), and how somebody felt afterwards;
- `reasoning`: "so" or "surely" is followed by something that can be inferred from the sentence before (an apple is a
  fruit), and "but also" or "besides" by something that cannot; also questions with the answer "yes" or "no";
- `restating`: "that is" is followed by the same in other words, and "and then" by something else; also such questions;
- `talk`: two people agree on a plan, and a sentence after "in short" repeats the plan;
- `spelling`: words of a lesson, so that every word of the vocabulary occurs.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable

from petscale.mini.language import RELATIONS, WHOLE, flip, others, pick, shuffled, world
from petscale.mini.scenes import feelings, inference, plan, rewording
from petscale.mini.words import ACTS, ENDINGS, KINDS, LESSONS, LOOKS, PEOPLE

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

AGREEING: tuple[str, ...] = ("so", "surely", "because", "that is ,", "in other words")
"""Words that open a clause which follows from another one or repeats it in other words."""

WORLD = world()


def life(rng: random.Random) -> Document:
    """Two facts about one person, in random order and wording."""
    person = pick(rng, PEOPLE)
    return tuple(
        pick(rng, RELATIONS[name].statements).format(n=person, v=WORLD[person][name]) + " ."
        for name in shuffled(rng, tuple(RELATIONS))[:2]
    )


def review(rng: random.Random) -> Document:
    """One or two sentences, all positive or all negative, and somebody's feeling; or two opposite ones with "but"."""
    good = flip(rng, 0.5)
    if flip(rng, 0.15):
        (one,), (other,) = feelings(rng, WHOLE, good, 1), feelings(rng, WHOLE, not good, 1)
        return f"{one} ,", f"but {other} ."
    told = (f"{sentence} ." for sentence in feelings(rng, WHOLE, good, 1 + flip(rng, 0.5)))
    return *told, f"so {pick(rng, PEOPLE)} {pick(rng, ENDINGS[good])} ."


def reasoning(rng: random.Random) -> Document:
    """A list of things of one kind, a question about one, or an inference from a sentence (question or statement)."""
    follows = flip(rng, 0.5)
    form = pick(rng, ("list", "question", "asked", "asked", "told"))
    if form in ("list", "question"):
        kind = pick(rng, tuple(KINDS))
        first, second, third = shuffled(rng, KINDS[kind])[:3]
        if form == "list":
            return f"the {first} , the {second} and the {third} ,", f"all is {kind} ."
        asked = kind if follows else pick(rng, others(tuple(KINDS), kind))
        return f"is the {first} a {asked} ?", _answer(follows)
    premise, hypothesis = inference(rng, WHOLE, follows)
    if form == "asked":
        return f"{premise} .", f"{hypothesis} ?", _answer(follows)
    return _joined(rng, FOLLOWS if follows else APART, premise, hypothesis)


def restating(rng: random.Random) -> Document:
    """Meanings of words, a question about one, or a sentence with its rewording or with a different sentence."""
    same = flip(rng, 0.5)
    form = pick(rng, ("meaning", "question", "asked", "asked", "told"))
    if form == "meaning":
        two = [pick(rng, (*ACTS, *LOOKS)) for _ in range(2)]
        return tuple(f"{' means '.join(pair if flip(rng, 0.5) else pair[::-1])} ." for pair in two)
    if form == "question":
        pairs = ACTS if flip(rng, 0.5) else LOOKS
        pair = pick(rng, pairs)
        word, meaning = pair if flip(rng, 0.5) else pair[::-1]
        return f"{word} means {meaning if same else pick(rng, pick(rng, others(pairs, pair)))} ?", _answer(same)
    first, second = rewording(rng, WHOLE, same, keep=0.1)
    if form == "asked":
        return f"{first} .", f"{second} ?", _answer(same)
    return _joined(rng, SAME if same else APART, first, second)


def _answer(right: bool) -> str:
    return "yes ." if right else "no ."


def _joined(rng: random.Random, forms: tuple[Document, ...], first: str, second: str) -> Document:
    return tuple(clause.format(a=first, b=second) for clause in pick(rng, forms))


def talk(rng: random.Random) -> Document:
    """A dialogue and a summary of its plan."""
    dialogue, summary = plan(rng, WHOLE)
    return dialogue, f"in short , {summary} ."


def spelling(rng: random.Random) -> Document:
    """A lesson with words that do not occur in other documents."""
    return tuple(f"{pick(rng, PEOPLE)} spelled the word {pick(rng, LESSONS)} ." for _ in range(3))


MIXTURE: tuple[tuple[float, Callable[[random.Random], Document]], ...] = (
    (0.18, life),
    (0.16, review),
    (0.27, reasoning),
    (0.30, restating),
    (0.07, talk),
    (0.02, spelling),
)
"""Share of each kind of document; the shares sum to 1."""


def documents(count: int, seed: str) -> list[Document]:
    """Draw `count` documents of the mixture; equal seeds give equal documents on every machine."""
    rng = random.Random(f"petscale-mini-corpus-2/{seed}")
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
    """SHA-256 of the documents, written as one sentence per line with an empty line after each document."""
    total = hashlib.sha256()
    for text in texts:
        total.update(("\n".join(text) + "\n\n").encode())
    return total.hexdigest()
