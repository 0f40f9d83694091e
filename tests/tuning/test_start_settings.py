"""First values by kind: their distribution, their streams, and what of them a plan says."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from petscale.errors import BadInput
from petscale.tuning.masks.mask import Mask
from petscale.tuning.site import Named, Trained
from petscale.tuning.start import check_start, draw


def _first(start: str, key: str = "site/down", mask: Mask | None = None, seed: int = 0, **settings: Any) -> Any:
    return draw(Named(key, Trained("down", (40, 500), mask or Mask("dense"), start, 0, settings)), seed)


def test_normal_has_its_deviation() -> None:
    """The default is a hundredth, and a given deviation scales the same draws."""
    narrow, wide = _first("normal"), _first("normal", std=0.02)
    assert float(narrow.std()) == pytest.approx(0.01, rel=0.03)
    torch.testing.assert_close(wide, 2 * narrow)


def test_uniform_fills_its_bound() -> None:
    values = _first("uniform", bound=0.3)
    assert float(values.abs().max()) == pytest.approx(0.3, rel=0.01)
    assert float(values.abs().max()) <= 0.3
    assert float(values.std()) == pytest.approx(0.3 / 3**0.5, rel=0.03)


def test_constant_and_zeros() -> None:
    assert torch.equal(_first("constant", value=1.0, mask=Mask("discrete", (3,), 1)), torch.ones(3))
    assert _first("zeros") is None


def test_fan_in_counts_the_entries_that_feed_an_output() -> None:
    masked = _first("fan-in", mask=Mask("discrete", (100,) * 40, 1))
    assert float(masked.abs().max()) == pytest.approx(100**-0.5, rel=0.01)
    assert float(_first("fan-in").abs().max()) == pytest.approx(500**-0.5, rel=0.01)


@pytest.mark.parametrize(("start", "settings"), [("normal", {"std": 1.0}), ("uniform", {"bound": 1.0}), ("fan-in", {})])
def test_a_stream_has_a_name(start: str, settings: dict[str, float]) -> None:
    """Tensors that name one stream start equal; each draws from its own otherwise, and the seed decides in any case."""
    one, other = (_first(start, key=key, **settings) for key in ("a/down", "b/down"))
    assert not torch.equal(one, other)
    named = [_first(start, key=key, stream="experts", **settings) for key in ("a/down", "b/down")]
    assert torch.equal(*named)
    assert not torch.equal(named[0], _first(start, key="a/down", seed=1, stream="experts", **settings))


@pytest.mark.parametrize(
    ("start", "settings"),
    [
        ("zeros", {}),
        ("constant", {"value": 1}),
        ("normal", {}),
        ("normal", {"std": 0.5}),
        ("normal", {"std": 0.5, "stream": "shared"}),
        ("uniform", {"bound": 0.5, "stream": "shared"}),
        ("fan-in", {"stream": "shared"}),
        ("vocabulary", {"stream": "shared"}),
        ("origin", {}),
    ],
)
def test_settings_that_a_start_takes(start: str, settings: dict[str, Any]) -> None:
    check_start(Named("site/down", Trained("down", (2, 3), Mask("dense"), start, 0, settings)))


@pytest.mark.parametrize(
    ("start", "settings", "reason"),
    [
        ("wide", {}, "unknown start 'wide'"),
        ("constant", {}, "needs a setting value"),
        ("uniform", {"stream": "shared"}, "needs a setting bound"),
        ("zeros", {"value": 1.0}, "takes no setting 'value'"),
        ("fan-in", {"std": 1.0}, "takes no setting 'std'"),
        ("normal", {"bound": 1.0}, "takes no setting 'bound'"),
        ("constant", {"value": "one"}, "value cannot be 'one'"),
        ("constant", {"value": True}, "value cannot be True"),
        ("normal", {"std": float("inf")}, "std cannot be inf"),
        ("normal", {"std": float("nan")}, "std cannot be nan"),
        ("normal", {"stream": 1}, "stream cannot be 1"),
        ("normal", {"stream": True}, "stream cannot be True"),
    ],
)
def test_settings_that_no_start_takes(start: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInput, match=rf"site/down: .*{reason}"):
        check_start(Named("site/down", Trained("down", (2, 3), Mask("dense"), start, 0, settings)))
