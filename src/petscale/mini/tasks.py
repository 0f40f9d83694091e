"""The tasks of the mini family: one of each kind that the papers use, a second sentiment task, and yes-no questions.

Transfer within a kind needs two tasks of one kind (Su et al., Fig. 9). The yes-no questions ask in the words of the
corpus what `mini-inference` asks in another form.

Train, dev and test rows share no person, no positive or negative adjective and no noun that has a kind. What tuning
teaches about single words is therefore of no use in dev and test, and a good score must come from pre-training. The
answers of closed-book QA are only in the corpus.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from petscale.mini.language import LEXICONS, RELATIONS, Lexicon, Split, flip, others, pick, shuffled, world
from petscale.mini.scenes import feelings, inference, plan, verdicts

Row = dict[str, Any]

SIZES: dict[Split, int] = {"train": 2000, "dev": 500, "test": 3000}
"""Rows of each split of the tasks that are drawn. Closed-book QA has six questions for each person of a split."""


def _sentiment(rng: random.Random, lexicon: Lexicon, label: int) -> Row:
    sentences = feelings(rng, lexicon, good=label == 1, count=1 + flip(rng, 0.5))
    return {"text": " . ".join(sentences) + " .", "label": label}


def _opinion(rng: random.Random, lexicon: Lexicon, label: int) -> Row:
    """Draw two speakers who agree: only the form of the text differs from `mini-sentiment`, not the label."""
    first = pick(rng, lexicon.people)
    second = pick(rng, others(lexicon.people, first))
    said, added = feelings(rng, lexicon, good=label == 1, count=2)
    return {"text": f"{first} : {said} . {second} : yes , {added} .", "label": label}


def _inference(rng: random.Random, lexicon: Lexicon, label: int) -> Row:
    premise, hypothesis = inference(rng, lexicon, follows=label == 0)
    return {"premise": f"{premise} .", "hypothesis": f"{hypothesis} .", "label": label}


def _paraphrase(rng: random.Random, lexicon: Lexicon, label: int) -> Row:
    first, second = verdicts(rng, lexicon, same=label == 1)
    return {"sentence1": f"{first} .", "sentence2": f"{second} .", "label": label}


def _boolq(rng: random.Random, lexicon: Lexicon, label: int) -> Row:
    passage, claim = inference(rng, lexicon, follows=label == 1)
    return {"passage": f"{passage} .", "question": f"{claim} ?", "label": label}


def _summary(rng: random.Random, lexicon: Lexicon, label: int) -> Row:
    del label  # One kind of row only.
    dialogue, summary = plan(rng, lexicon)
    return {"dialogue": dialogue, "summary": f"{summary} ."}


def _questions(rng: random.Random, lexicon: Lexicon) -> list[Row]:
    """Every question about every person of the split, in random order."""
    facts = world()
    return shuffled(
        rng,
        [
            {"question": question.format(n=person), "answer": [facts[person][name]]}
            for person in lexicon.people
            for name, relation in RELATIONS.items()
            for question in relation.questions
        ],
    )


DRAWN: dict[str, Callable[[random.Random, Lexicon, int], Row]] = {
    "mini-sentiment": _sentiment,
    "mini-opinion": _opinion,
    "mini-inference": _inference,
    "mini-paraphrase": _paraphrase,
    "mini-boolq": _boolq,
    "mini-summary": _summary,
}
TASKS: tuple[str, ...] = (*DRAWN, "mini-qa")
VERSIONS: dict[str, int] = dict.fromkeys(TASKS, 3) | {"mini-paraphrase": 4, "mini-boolq": 1}
"""Version of each task's rows; it must be raised when the way they are drawn changes."""


def _unlike(draw: Callable[[int], Row], count: int) -> Iterator[Row]:
    """Yield `count` rows with labels 0 and 1 in turn, no two of them equal."""
    seen: set[str] = set()
    while len(seen) < count:
        row = draw(len(seen) % 2)
        text = "\n".join(str(value) for name, value in row.items() if name != "label")
        if text not in seen:
            seen.add(text)
            yield row


def rows(task: str, split: Split) -> list[Row]:
    """The rows of one split, the same on every machine.

    Columns: `mini-sentiment` and `mini-opinion` text, label (1 positive); `mini-inference` premise, hypothesis, label
    (0 entailment); `mini-paraphrase` sentence1, sentence2, label (1 equivalent); `mini-boolq` passage, question, label
    (1 yes); `mini-qa` question, answer (a list of one string); `mini-summary` dialogue, summary. Labels are balanced.

    Raises:
        ValueError: unknown task or split.
    """
    if task not in TASKS:
        raise ValueError(f"unknown mini task {task!r}; known: {', '.join(TASKS)}")
    if split not in SIZES:
        raise ValueError(f"unknown split {split!r} of {task}; known: {', '.join(SIZES)}")
    lexicon = LEXICONS[split]
    rng = random.Random(f"{task}/{split}/{VERSIONS[task]}")
    if task == "mini-qa":
        return _questions(rng, lexicon)
    drawn = _unlike(lambda label: DRAWN[task](rng, lexicon, label), SIZES[split])
    return shuffled(rng, list(drawn))
