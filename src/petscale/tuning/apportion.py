"""Whole seats in fixed proportions, for every house size: how a budget is divided over operations, roles and sites.

Sainte-Lague (Webster) awards the next seat to the party with the largest weight / (2 seats + 1). Being a divisor
method it is house-monotone: a larger budget never takes a seat away, so the masks of a smaller budget lie inside
those of a larger one (design 3). Largest remainder has no such property (the Alabama paradox).

A pair (two factors with a rank between them) is the exception. Its first entry alone is dead, so it opens with two
seats at once, and a chain in which every budget adds one entry can never contain such a step. So the seat that an
opening cannot use goes to the party next in line, and is the first to be awarded after the opening: at the one
budget before each opening a single seat differs from the next budget's, and everywhere else seats nest.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from heapq import heapify, heappop, heappush

from petscale.errors import BadInput


def apportion(
    seats: int, weights: Sequence[Fraction], capacities: Sequence[int], *, pairs: Sequence[bool] | None = None
) -> list[int]:
    """Divide `seats` exactly in the proportions `weights`, no party above its capacity.

    Args:
        seats: how many to award.
        weights: positive; ties go to the party that stands first.
        capacities: most seats that a party can hold; what a full party is due goes to the others.
        pairs: parties that hold 0, 2, 3, ... seats but never 1.

    Returns:
        Seats by party, summing to `seats`.

    Raises:
        BadInput: the parties cannot hold `seats`.
    """
    awards = _Awards(weights, capacities, pairs or [False] * len(weights))
    if seats > sum(capacities):
        raise BadInput(f"a budget of {seats:,} does not fit: at most {sum(capacities):,} entries are there")
    while awards.unopened() and awards.given < seats:
        awards.next(seats)
    awards.bulk(seats)
    while awards.given < seats:
        awards.next(seats)
    return awards.seats


_MARGIN = 4  # seats a party; half a seat of rounding, and up to three that opening a pair awarded ahead


class _Awards:
    """The state of an election: seats given so far, and parties by their claim on the next one."""

    def __init__(self, weights: Sequence[Fraction], capacities: Sequence[int], pairs: Sequence[bool]) -> None:
        self.weights, self.capacities, self.pairs = weights, capacities, pairs
        self.seats = [0] * len(weights)
        self.given = 0
        self._promised: int | None = None
        self._requeue()

    def unopened(self) -> bool:
        return any(pair and not held for pair, held in zip(self.pairs, self.seats, strict=True))

    def next(self, limit: int) -> None:
        """Award the next seat, or the two that open a pair, without passing `limit`."""
        if self._promised is not None:
            party, self._promised = self._promised, None
            self._give(party, 1)
            return
        party = self._pop()
        if not self._opens(party):
            self._give(party, 1)
            return
        substitute = self._first_single()
        if self.given + 2 > limit:
            if substitute is None:
                self._take_back(limit)
                self._give(party, 2)
            else:
                self._give(substitute, 1)
        else:
            self._give(party, 2)
            self._promised = substitute

    def bulk(self, limit: int) -> None:
        """Award at once what is sure to be awarded, so that few seats remain for `next` whatever the budget.

        At threshold t a party of weight w holds k seats with w / (2k + 1) > t, so at most w / 2t + 1/2; the t below
        makes these sum to less than what is left, by a margin for seats that were awarded ahead. Repeated because
        full parties leave their due to the others.
        """
        if self._promised is not None and self.given < limit:
            self.next(limit)
        while True:
            open_parties = [p for p in range(len(self.seats)) if self.seats[p] < self.capacities[p]]
            left = limit - sum(self.seats) + sum(self.seats[p] for p in open_parties)
            spread = left - _MARGIN * len(open_parties)
            if not open_parties or spread <= 0:
                break
            threshold = sum((self.weights[p] for p in open_parties), Fraction(0)) / (2 * spread)
            before = self.given
            for party in open_parties:
                due = -((1 - self.weights[party] / threshold) / 2).__floor__()
                self.seats[party] = max(self.seats[party], min(self.capacities[party], due))
            self.given = sum(self.seats)
            if self.given == before:
                break
        self._requeue()

    def _opens(self, party: int) -> bool:
        return self.pairs[party] and self.seats[party] == 0

    def _first_single(self) -> int | None:
        """The open party with the strongest claim; it leaves the queue when its seat is given."""
        held_back = []
        found = None
        while self._queue and found is None:
            entry = heappop(self._queue)
            held_back.append(entry)
            if not self._opens(entry[1]):
                found = entry[1]
        for entry in held_back:
            if entry[1] != found:
                heappush(self._queue, entry)
        return found

    def _take_back(self, limit: int) -> None:
        """All open parties are full and one seat is left: a full party lends the second seat of the opening."""
        for party, held in enumerate(self.seats):
            if held > (2 if self.pairs[party] else 0):
                self.seats[party] -= 1
                self.given -= 1
                return
        raise BadInput(f"a budget of {limit:,} cannot be met: an inserted pair needs two entries to act")

    def _give(self, party: int, seats: int) -> None:
        self.seats[party] += seats
        self.given += seats
        self._push(party)

    def _push(self, party: int) -> None:
        if self.seats[party] < self.capacities[party]:
            heappush(self._queue, (-self.weights[party] / (2 * self.seats[party] + 1), party))

    def _pop(self) -> int:
        return heappop(self._queue)[1]

    def _requeue(self) -> None:
        self._queue: list[tuple[Fraction, int]] = []
        for party in range(len(self.weights)):
            self._push(party)
        heapify(self._queue)
