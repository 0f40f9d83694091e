"""The generated language gives the same text everywhere, has balanced facts, and its vocabulary has all its words."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from petscale.mini import words
from petscale.mini.corpus import MIXTURE, digest, documents
from petscale.mini.language import LEXICONS, RELATIONS, SPLITS, Split, halves, shuffled, world
from petscale.mini.words import PEOPLE, vocabulary

CORPUS_DIGEST = "cd48703d4a83df2190e5f9713be620ec0a63aba3a7d953d8067e7b05dcca390e"


def test_the_corpus_is_the_same_on_every_machine() -> None:
    assert digest(documents(2000, "train")) == CORPUS_DIGEST


def test_training_and_held_out_documents_differ() -> None:
    assert documents(50, "train") != documents(50, "held-out")


def test_the_mixture_is_a_distribution() -> None:
    assert abs(sum(share for share, _ in MIXTURE) - 1) < 1e-9


def test_documents_use_known_words_only_and_leave_no_word_unseen() -> None:
    seen = Counter(word for text in documents(5000, "train") for clause in text for word in clause.split())
    assert set(seen) == set(vocabulary())
    assert min(seen.values()) >= 5


def test_each_word_stands_in_one_list() -> None:
    lists = [words.PEOPLE, words.TOWNS, words.JOBS, words.HOBBIES, tuple(words.KINDS), *words.KINDS.values()]
    lists += [sum(words.ACTS, ()), sum(words.LOOKS, ()), words.GOOD, words.BAD, words.EVENTS, words.PLANS]
    lists += [words.PLACES, words.DAYS, words.LESSONS, words.CONNECTIVES, words.GRAMMAR, words.moods()]
    count = Counter(word for group in lists for word in group)
    assert [word for word in count if count[word] > 1] == []


def test_facts_cannot_be_guessed() -> None:
    facts = world()
    assert set(facts) == set(PEOPLE)
    for half in halves(PEOPLE):
        for relation in RELATIONS:
            most = Counter(facts[person][relation] for person in half).most_common(1)[0][1]
            assert most / len(half) <= 0.05


def test_facts_of_a_person_do_not_predict_each_other() -> None:
    facts = world()
    pairs = Counter((own["town"], own["job"]) for own in facts.values())
    assert pairs.most_common(1)[0][1] <= 2


@pytest.mark.parametrize(("one", "other"), itertools.combinations(SPLITS, 2))
def test_splits_share_no_word_that_a_label_or_an_answer_depends_on(one: Split, other: Split) -> None:
    """Otherwise a checkpoint chosen on dev, or a test score, would count words memorised from the training rows."""
    first, second = LEXICONS[one], LEXICONS[other]
    assert not set(first.people) & set(second.people)
    assert not set(first.acts) & set(second.acts)
    assert not set(first.looks) & set(second.looks)
    for good in (True, False):
        assert not set(first.polar[good]) & set(second.polar[good])
    for kind in first.kinds:
        assert not set(first.kinds[kind]) & set(second.kinds[kind])


def test_together_the_splits_use_every_word() -> None:
    assert {person for split in SPLITS for person in LEXICONS[split].people} == set(PEOPLE)
    for good, listed in ((True, words.GOOD), (False, words.BAD)):
        assert {word for split in SPLITS for word in LEXICONS[split].polar[good]} == set(listed)
    for kind, nouns in words.KINDS.items():
        assert {noun for split in SPLITS for noun in LEXICONS[split].kinds[kind]} == set(nouns)


def test_shuffling_keeps_every_item() -> None:
    assert sorted(shuffled(random.Random(1), range(100))) == list(range(100))
