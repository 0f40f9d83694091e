"""The choice of a learning rate: by dev scores alone, the lowest of equal ones, with a word where it lies at an end."""

from __future__ import annotations

import pytest

from petscale.search.rates import Edge, Try, best_rate, edge_of


def tries(*devs: float | None) -> list[Try]:
    return [Try(learning_rate=rate, dev=dev) for rate, dev in zip((1e-4, 1e-3, 1e-2), devs, strict=True)]


@pytest.mark.parametrize(
    ("devs", "rate", "edge"),
    [
        ((70.0, 80.0, 75.0), 1e-3, None),
        ((70.0, 80.0, 80.0), 1e-3, None),  # the lowest of equal ones
        ((80.0, 80.0, 70.0), 1e-4, "lowest"),
        ((70.0, 75.0, 80.0), 1e-2, "highest"),
        ((70.0, 75.0, None), 1e-3, None),  # a diverged cell is never the best
        ((None, None, 10.0), 1e-2, "highest"),
        ((50.0, 50.0, 50.0), 1e-4, None),  # nothing says that a better one lies beyond
        ((None, None, None), None, None),
    ],
)
def test_the_best_on_dev_is_chosen(devs: tuple[float | None, ...], rate: float | None, edge: Edge | None) -> None:
    found = best_rate(tries(*devs))
    assert found == rate
    if found is not None:
        assert edge_of(tries(*devs), found) == edge


def test_a_single_rate_has_no_end() -> None:
    assert edge_of([Try(learning_rate=1e-3, dev=80.0)], 1e-3) is None
