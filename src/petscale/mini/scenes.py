"""Sentences with a known meaning, for documents and for tasks; a task uses the meaning as its label."""

from __future__ import annotations

import random

from petscale.mini.language import Lexicon, flip, others, pick
from petscale.mini.words import DAYS, EVENTS, PLACES, PLANS

FEELINGS: tuple[str, ...] = (
    "the {event} was {first}",
    "the {event} was {first} and {second}",
    "{n} called the {event} {first}",
    "the {event} felt {first} to {n}",
    "it was a {first} {event}",
    "it was a {first} , {second} {event}",
)
DENIALS: tuple[str, ...] = (
    "the {event} was not {first}",
    "{n} never called the {event} {first}",
    "it was no {first} {event}",
)


def feelings(rng: random.Random, lexicon: Lexicon, good: bool, count: int, denial: float = 0.1) -> list[str]:
    """Draw `count` positive or negative sentences about one event.

    With probability `denial` a sentence negates the opposite word: "the film was not dull" is positive.
    """
    person, event = pick(rng, lexicon.people), pick(rng, EVENTS)
    return [_verdict(rng, lexicon, person, event, good, denial) for _ in range(count)]


def _verdict(rng: random.Random, lexicon: Lexicon, person: str, event: str, good: bool, denial: float) -> str:
    denied = flip(rng, denial)
    words = lexicon.polar[good != denied]
    first = pick(rng, words)
    second = pick(rng, others(words, first))
    form = pick(rng, DENIALS if denied else FEELINGS)
    return form.format(n=person, event=event, first=first, second=second)


def verdicts(rng: random.Random, lexicon: Lexicon, same: bool) -> tuple[str, str]:
    """Draw two sentences about one event that give the same judgement in other words, or opposite judgements.

    No adjective is in both sentences, so that the words they share do not predict `same`.
    """
    person, event, good = pick(rng, lexicon.people), pick(rng, EVENTS), flip(rng, 0.5)
    polar = {word for words in lexicon.polar.values() for word in words}
    while True:
        first, second = (_verdict(rng, lexicon, person, event, side, 0.1) for side in (good, good == same))
        if not polar & set(first.split()) & set(second.split()):
            return first, second


def inference(rng: random.Random, lexicon: Lexicon, follows: bool) -> tuple[str, str]:
    """Draw a premise and a hypothesis that follows from it (an apple is a fruit) or does not (an apple is no tool)."""
    kind = pick(rng, tuple(lexicon.kinds))
    noun = pick(rng, lexicon.kinds[kind])
    act = pick(rng, pick(rng, lexicon.acts))
    person = pick(rng, lexicon.people)
    claimed = kind if follows else pick(rng, others(tuple(lexicon.kinds), kind))
    return f"{person} {act} the {noun}", f"{person} {act} the {claimed}"


def rewording(rng: random.Random, lexicon: Lexicon, same: bool, keep: float = 0.0) -> tuple[str, str]:
    """Draw two sentences that mean the same in other words, or that differ in the verb, the adjective or both.

    With probability `keep`, a word that could be replaced by its synonym is not replaced.
    """
    act, look = pick(rng, lexicon.acts), pick(rng, lexicon.looks)
    verb, adjective = (pair if flip(rng, 0.5) else pair[::-1] for pair in (act, look))
    new_verb, new_adjective = (pair[0] if flip(rng, keep) else pair[1] for pair in (verb, adjective))
    if not same:
        changed = pick(rng, ("verb", "adjective", "both"))
        if changed != "adjective":
            new_verb = pick(rng, pick(rng, others(lexicon.acts, act)))
        if changed != "verb":
            new_adjective = pick(rng, pick(rng, others(lexicon.looks, look)))
    person = pick(rng, lexicon.people)
    noun = pick(rng, pick(rng, tuple(lexicon.kinds.values())))
    return f"{person} {verb[0]} the {adjective[0]} {noun}", f"{person} {new_verb} the {new_adjective} {noun}"


def plan(rng: random.Random, lexicon: Lexicon) -> tuple[str, str]:
    """Draw a dialogue in which two people agree on a plan, and the plan in one sentence.

    In half of the dialogues the second speaker changes the day or the place, so the one named first is wrong.
    """
    first = pick(rng, lexicon.people)
    second = pick(rng, others(lexicon.people, first))
    deed, place, day = pick(rng, PLANS), pick(rng, PLACES), pick(rng, DAYS)
    answer = "yes gladly"
    asked = f"shall we {deed} at the {place} on {day} ?"
    if flip(rng, 0.5):
        if flip(rng, 0.5):
            day = pick(rng, others(DAYS, day))
            answer = f"no , on {day}"
        else:
            place = pick(rng, others(PLACES, place))
            answer = f"no , at the {place}"
    dialogue = f"{first} : {asked} {second} : {answer} ."
    return dialogue, f"{first} and {second} {deed} at the {place} on {day}"
