"""Budgets are divided exactly and house-monotonely, with the documented exception for pairs."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petscale.errors import BadInput
from petscale.tuning.apportion import apportion

PARTY = st.tuples(st.integers(1, 40), st.integers(2, 60))


def divisor_method(seats: int, weights: list[Fraction], capacities: list[int]) -> list[int]:
    """Sainte-Lague by its definition, a seat at a time."""
    held = [0] * len(weights)
    for _ in range(seats):
        open_parties = [p for p in range(len(held)) if held[p] < capacities[p]]
        held[max(open_parties, key=lambda p: (weights[p] / (2 * held[p] + 1), -p))] += 1
    return held


@given(st.lists(PARTY, min_size=1, max_size=8), st.data())
@settings(max_examples=150, deadline=None)
def test_equals_the_divisor_method_a_seat_at_a_time(parties: list[tuple[int, int]], data: st.DataObject) -> None:
    weights = [Fraction(weight) for weight, _ in parties]
    capacities = [capacity for _, capacity in parties]
    seats = data.draw(st.integers(0, sum(capacities)))
    assert apportion(seats, weights, capacities) == divisor_method(seats, weights, capacities)


@given(st.lists(PARTY, min_size=1, max_size=8), st.data())
@settings(max_examples=100, deadline=None)
def test_a_larger_house_takes_no_seat_away(parties: list[tuple[int, int]], data: st.DataObject) -> None:
    """Guards nesting: largest remainder would fail here (the Alabama paradox)."""
    weights, capacities = [Fraction(w) for w, _ in parties], [c for _, c in parties]
    seats = data.draw(st.integers(0, sum(capacities) - 1))
    smaller, larger = (apportion(house, weights, capacities) for house in (seats, seats + 1))
    assert all(a <= b for a, b in zip(smaller, larger, strict=True))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(4, 20), st.booleans()), min_size=1, max_size=6), st.data())
@settings(max_examples=150, deadline=None)
def test_pairs_never_hold_one_seat_and_all_but_one_seat_nests(
    parties: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    weights, capacities = [Fraction(w) for w, _, _ in parties], [c for _, c, _ in parties]
    pairs = [pair for _, _, pair in parties]
    seats = data.draw(st.integers(2, sum(capacities) - 2))
    houses = [apportion(house, weights, capacities, pairs=pairs) for house in (seats, seats + 1, seats + 2)]
    for house, held in zip((seats, seats + 1, seats + 2), houses, strict=True):
        assert sum(held) == house
        assert not any(pair and number == 1 for pair, number in zip(pairs, held, strict=True))
        assert all(number <= capacity for number, capacity in zip(held, capacities, strict=True))
    lost = sum(max(0, a - b) for a, b in zip(houses[0], houses[1], strict=True))
    assert lost <= 1


def pair_by_pair(seats: int, weights: list[Fraction], capacities: list[int], pairs: list[bool]) -> list[int]:
    """The rule for pairs by its words, a seat at a time: an opening takes two, and who would have been next is next."""
    held = [0] * len(weights)
    owed: int | None = None
    while sum(held) < seats:
        if owed is not None:
            held[owed] += 1
            owed = None
            continue
        claims = sorted((-w / (2 * h + 1), p) for p, (w, h) in enumerate(zip(weights, held, strict=True)))
        line = [p for _, p in claims if held[p] < capacities[p]]
        singles = [p for p in line if held[p] or not pairs[p]]
        first = line[0]
        if first in singles:
            held[first] += 1
        elif seats - sum(held) >= 2:
            held[first] += 2
            owed = singles[0] if singles else None
        elif singles:
            held[singles[0]] += 1
        else:
            lender = next(p for p, h in enumerate(held) if h > (2 if pairs[p] else 0))
            held[lender] -= 1
            held[first] += 2
    return held


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(2, 120), st.booleans()), min_size=1, max_size=6), st.data())
@settings(max_examples=150, deadline=None)
def test_equals_the_rule_for_pairs_a_seat_at_a_time(parties: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    weights, capacities = [Fraction(w) for w, _, _ in parties], [c for _, c, _ in parties]
    pairs = [pair for _, _, pair in parties]
    seats = data.draw(st.integers(2, sum(capacities)) | st.integers(sum(capacities) - 2, sum(capacities)))
    assert apportion(seats, weights, capacities, pairs=pairs) == pair_by_pair(seats, weights, capacities, pairs)


def test_every_small_house_of_three_parties_follows_the_rule() -> None:
    """All of them, since the rule's last branches (one seat left, and all but an unopened pair full) are rare."""
    kinds = list(itertools.product((1, 3), (2, 3, 4), (False, True)))
    for parties in itertools.combinations_with_replacement(kinds, 3):
        for order in (parties, parties[::-1]):
            weights, capacities = [Fraction(w) for w, _, _ in order], [c for _, c, _ in order]
            pairs = [pair for _, _, pair in order]
            for seats in range(sum(capacities) + 1):
                try:
                    expected = pair_by_pair(seats, weights, capacities, pairs)
                except StopIteration:  # nobody can lend a seat
                    with pytest.raises(BadInput, match="two entries"):
                        apportion(seats, weights, capacities, pairs=pairs)
                else:
                    assert apportion(seats, weights, capacities, pairs=pairs) == expected


def test_houses_of_some_hundred_seats_follow_the_rule() -> None:
    """Large enough that most seats are awarded in one step; all are the same in every run."""
    draw = random.Random(0)
    for _ in range(40):
        parties = [(draw.randint(1, 99), draw.randint(2, 120), draw.random() < 0.5) for _ in range(draw.randint(1, 6))]
        weights, capacities = [Fraction(w) for w, _, _ in parties], [c for _, c, _ in parties]
        pairs = [pair for _, _, pair in parties]
        for seats in {draw.randint(2, sum(capacities)), sum(capacities) - draw.randint(0, 2)}:
            expected = pair_by_pair(seats, weights, capacities, pairs)
            assert apportion(seats, weights, capacities, pairs=pairs) == expected
        plain = draw.randint(0, sum(capacities))
        assert apportion(plain, weights, capacities) == divisor_method(plain, weights, capacities)


def test_pairs_open_late_beside_a_strong_party() -> None:
    """The pair's claim is a hundredth of the other's, so a single seat would be due to it long before two are."""
    for seats in range(2, 400, 3):
        parties = [Fraction(99), Fraction(1), Fraction(2)], [1_000, 10, 10], [False, True, True]
        assert apportion(seats, *parties[:2], pairs=parties[2]) == pair_by_pair(seats, *parties)


def test_a_large_house_is_divided_at_once() -> None:
    """A billion seats, a seat at a time, would take an hour. A third and two thirds; what is full leaves the others."""
    billion = 10**9
    pairs = apportion(billion, [Fraction(1), Fraction(1)], [billion, billion], pairs=[True, True])
    assert pairs == [billion // 2, billion // 2]
    assert apportion(billion, [Fraction(1), Fraction(2)], [billion, billion]) == [333_333_333, 666_666_667]
    assert apportion(billion, [Fraction(1), Fraction(9)], [billion, 1_000]) == [billion - 1_000, 1_000]


def test_a_house_beyond_the_capacities_and_a_single_seat_for_a_pair_are_refused() -> None:
    with pytest.raises(BadInput, match="at most 5"):
        apportion(6, [Fraction(1)], [5])
    with pytest.raises(BadInput, match="two entries"):
        apportion(1, [Fraction(1)], [5], pairs=[True])


def test_the_last_seat_before_a_full_house_is_found() -> None:
    """Regression guard: only a full party can lend the second seat that opens the pair."""
    assert apportion(6, [Fraction(99), Fraction(1)], [5, 2], pairs=[False, True]) == [4, 2]
    # Its only one too, and none from a party that can hold none.
    assert apportion(2, [Fraction(99), Fraction(1)], [1, 2], pairs=[False, True]) == [0, 2]
    parties = [Fraction(5), Fraction(99), Fraction(1)], [0, 1, 2]
    assert apportion(2, *parties, pairs=[False, False, True]) == [0, 0, 2]
