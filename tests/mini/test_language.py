"""The generated language gives the same text everywhere, has balanced facts, and its vocabulary has all its words."""

from __future__ import annotations

import random
from collections import Counter

from petscale.mini import words
from petscale.mini.corpus import MIXTURE, digest, documents
from petscale.mini.language import RELATIONS, TEST, TUNING, halves, shuffled, world
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


def test_tuning_and_test_words_are_disjoint() -> None:
    assert not set(TUNING.people) & set(TEST.people)
    assert not set(TUNING.acts) & set(TEST.acts)
    assert not set(TUNING.looks) & set(TEST.looks)
    for good in (True, False):
        assert not set(TUNING.polar[good]) & set(TEST.polar[good])
    for kind in TUNING.kinds:
        assert not set(TUNING.kinds[kind]) & set(TEST.kinds[kind])


def test_shuffling_keeps_every_item() -> None:
    assert sorted(shuffled(random.Random(1), range(100))) == list(range(100))
