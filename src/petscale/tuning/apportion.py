"""Divides a budget exactly and in fixed proportions among operations, roles and sites.

The rule is Sainte-Lague (Webster), a method of dividing seats of a parliament among parties, and this module uses its
words: a seat is one trained entry, and a party is an operation, a role or a site. The next seat goes to the party with
the largest weight / (2 seats + 1). As a divisor method it is house-monotone: a larger budget never takes a seat away,
so the masks of a smaller budget are part of those of a larger one. The largest-remainder method is not house-monotone
(the Alabama paradox).

A pair (two factors with a rank between them) is an exception. A single entry of it has no effect, so it gets its first
two seats at once (it opens). If each budget has one seat more than the one before, a step of two seats is impossible.
So when one seat is left for a pair that needs two, another party gets that seat, and this party is the first to be
served after the opening. Therefore only at the budget just before an opening, a single seat differs from the next
budget; otherwise a larger budget keeps all seats of a smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from heapq import heapify, heappop, heappush

from petscale.errors import BadInput


def apportion(
    seats: int, weights: Sequence[Fraction], capacities: Sequence[int], *, pairs: Sequence[bool] | None = None
) -> list[int]:
    """Divide `seats` exactly in the proportions `weights`, with no party above its capacity.

    Args:
        seats: number of seats.
        weights: positive weights; if parties tie, the one that comes first gets the seat.
        capacities: largest number of seats of each party; seats that a full party cannot take go to the others.
        pairs: parties that can have 0, 2, 3, ... seats but never 1.

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


_MARGIN = 4  # seats per party: half a seat of rounding, and up to three that were awarded early when a pair opened


class _Awards:
    """The state of the division: seats awarded so far, and the parties ordered by their claim to the next seat."""

    def __init__(self, weights: Sequence[Fraction], capacities: Sequence[int], pairs: Sequence[bool]) -> None:
        self.weights, self.capacities, self.pairs = weights, capacities, pairs
        self.seats = [0] * len(weights)
        self.given = 0
        self._promised: int | None = None
        self._requeue()

    def unopened(self) -> bool:
        return any(pair and not held for pair, held in zip(self.pairs, self.seats, strict=True))

    def next(self, limit: int) -> None:
        """Award the next seat, or the two that open a pair, without exceeding `limit`."""
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
        """Award most seats in one step, so that few remain for `next` even if the budget is large.

        At threshold t, a party of weight w has the seats k with w / (2k + 1) > t, so at most w / 2t + 1/2. The t below
        makes the sum of these smaller than the number of seats left, with a margin for seats that were awarded early.
        This is repeated, because the seats that full parties cannot take go to the others.
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
        """Take the open party with the strongest claim from the queue."""
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
        """Take a seat from a full party to open a pair, when one seat is left and all open parties are full."""
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
