"""Mutations of good documents and files: changed values, lost or renamed keys, flipped, removed or added bytes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

WORDS = (
    "",
    "mini-t5-small",
    "full",
    "../../etc",
    "a b",
    "\x00",
    "é\u2028",
    "-1",
    "NaN",
    "lora",
    "google/t5-v1_1-small",
)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 300),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(WORDS),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)
# Deadlines would test the machine; examples come and go with the code, so none are kept.


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a nested document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        yield document, key
        if isinstance(value, (dict, list)):
            yield from places(value)


@st.composite
def mutated(draw: Callable[..., Any], good: Any) -> Any:
    """A good document with one to three harms: a value replaced, a key removed, added or renamed."""
    document = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            break
        container, key = found[draw(st.integers(0, len(found) - 1))]
        harm = draw(st.sampled_from(("replace", "replace", "replace", "remove", "add", "rename")))
        if harm == "replace":
            container[key] = draw(VALUES)
        elif harm == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[draw(st.text(max_size=8))] = container.pop(key) if harm == "rename" else draw(VALUES)
    return document


@st.composite
def mangled(draw: Callable[..., Any], good: bytes) -> bytes:
    """A good file with bytes flipped, cut off or put in."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        harm = draw(st.sampled_from(("flip", "cut", "insert")))
        if harm == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif harm == "cut":
            del data[at : at + draw(st.integers(1, 200))]
        else:
            data[at:at] = draw(st.binary(max_size=6))
    return bytes(data)
