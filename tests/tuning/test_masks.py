"""Masks are exact, nested, keyed by their seed, equal in every process, and have their structure."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from petscale.tuning.masks.mask import Mask
from petscale.tuning.masks.permutation import permuted_prefix

KEY = hashlib.sha256(b"test").digest()


@given(st.integers(1, 3000), st.binary(min_size=32, max_size=32))
@settings(max_examples=60, deadline=None)
def test_the_permutation_is_one(size: int, key: bytes) -> None:
    assert sorted(permuted_prefix(size, size, key)) == list(range(size))


def test_a_prefix_is_spread_evenly() -> None:
    """Chi-squared of 20,000 draws over 100 equal parts of a 4096 x 10240 matrix: 99 degrees of freedom, p > 1e-4."""
    size = 4096 * 10240
    counts = np.bincount(permuted_prefix(size, 20_000, KEY) * 100 // size, minlength=100)
    assert ((counts - 200.0) ** 2 / 200.0).sum() < 160


def test_pairs_of_coordinates_are_spread_evenly() -> None:
    """With weak mixing, the row would predict the column; 64 cells of (row mod 8, column mod 8) are compared."""
    flat = permuted_prefix(512 * 512, 20_000, KEY)
    cells = np.bincount(flat // 512 % 8 * 8 + flat % 512 % 8, minlength=64)
    assert ((cells - 312.5) ** 2 / 312.5).sum() < 120


@given(st.sampled_from(["adjacent", "discrete"]), st.tuples(st.integers(1, 20), st.integers(1, 20)), st.data())
@settings(max_examples=150, deadline=None)
def test_masks_are_exact_nested_and_skip_the_dead(structure: str, shape: tuple[int, int], data: st.DataObject) -> None:
    size = shape[0] * shape[1]
    dead_from = data.draw(st.integers(0, size - 1))
    dead_to = data.draw(st.integers(dead_from, size - 1))
    dead = ((dead_from, dead_to),) if dead_from < dead_to else ()
    large = data.draw(st.integers(1, size - (dead_to - dead_from)))
    small = data.draw(st.integers(1, large))
    seed = data.draw(st.integers(0, 5))
    held = [set(Mask(structure, (k,), seed, dead).indices(shape, "site")) for k in (small, large)]
    assert [len(entries) for entries in held] == [small, large]
    assert held[0] <= held[1]
    assert all(0 <= entry < size and not dead_from <= entry < dead_to for entry in held[1])


def test_adjacent_entries_are_neighbours_in_rows_or_columns() -> None:
    rows, columns = 12, 30
    seen = set()
    for seed in range(12):
        mask = Mask("adjacent", (50,), seed)
        positions = mask.indices((rows, columns), "site")
        if mask.orientation("site") == "columns":
            positions = positions % columns * rows + positions // columns
        steps = np.diff(positions) % (rows * columns)
        assert (steps == 1).all()
        seen.add(mask.orientation("site"))
    assert seen == {"rows", "columns"}


def test_sites_and_seeds_have_streams_of_their_own() -> None:
    """Guards against one seed for all layers, by which same-shaped layers shared one mask."""
    masks = [
        tuple(Mask("discrete", (40,), seed).indices((64, 64), site))
        for seed in (0, 1)
        for site in ("layer.0", "layer.1")
    ]
    assert len(set(masks)) == 4


def test_the_same_seed_gives_the_same_mask_in_another_process() -> None:
    code = (
        "from petscale.tuning.masks.mask import Mask;"
        "print(Mask('discrete', (99,), 7).indices((64, 80), 'site').tolist(),"
        " Mask('adjacent', (99,), 7).indices((64, 80), 'site').tolist())"
    )
    here = [Mask(structure, (99,), 7).indices((64, 80), "site").tolist() for structure in ("discrete", "adjacent")]
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert there.split() == f"{here[0]} {here[1]}".split()


def test_known_entries() -> None:
    """The entries of a mask seed must not change silently; raise mask.VERSION if they have to change."""
    assert Mask("discrete", (6,), 1).indices((100, 100), "site").tolist() == DISCRETE
    assert Mask("adjacent", (3,), 1).indices((100, 100), "site").tolist() == ADJACENT


DISCRETE = [1548, 1586, 5627, 5929, 6885, 7301]
ADJACENT = [6999, 7099, 7199]


def _hash(seed: int, key: str, purpose: str) -> bytes:
    return hashlib.sha256(f"petscale-mask-1/{seed}/{key}/{purpose}".encode()).digest()


def test_masks_have_as_many_entries_as_they_say() -> None:
    assert Mask("dense").count((3, 5)) == len(Mask("dense").indices((3, 5), "site")) == 15
    assert Mask("discrete", (4, 2)).count((2, 9)) == len(Mask("discrete", (4, 2)).indices((2, 9), "site")) == 6
    assert Mask("dense").seed == 0


def test_each_rank_of_a_factor_has_a_lane_of_its_own() -> None:
    """Lane 1 of 50 entries holds positions 50 to 99, from a stream of its own; a run turns round within its lane."""
    scattered = Mask("discrete", (7, 3), 5).indices((2, 50), "site")
    lanes = [sorted(permuted_prefix(50, k, _hash(5, f"site#{lane}", "entries"))) for lane, k in enumerate((7, 3))]
    assert scattered.tolist() == [*lanes[0], *(50 + entry for entry in lanes[1])]
    run = Mask("adjacent", (20, 45), 5).indices((2, 50), "site")
    starts = [int.from_bytes(_hash(5, f"site#{lane}", "start")[:8], "little") % 50 for lane in (0, 1)]
    assert run.tolist() == [
        *((starts[0] + step) % 50 for step in range(20)),
        *(50 + (starts[1] + step) % 50 for step in range(45)),
    ]


def test_the_first_byte_of_a_hash_gives_the_orientation() -> None:
    found = [Mask("adjacent", (3,), seed).orientation("site") for seed in range(40)]
    assert found == [("columns" if _hash(seed, "site", "orientation")[0] & 1 else "rows") for seed in range(40)]


def _permuted(size: int, key: bytes) -> list[int]:
    """The documented permutation in Python's own integers, a value at a time: Feistel, walked until inside."""
    half = next(bits for bits in range(1, 32) if 4**bits >= size)

    def mix(value: int, number: int) -> int:
        word = int.from_bytes(key[number % 4 * 8 :][:8], "little") ^ number * 0xD1B54A32D192ED03 % 2**64
        state = (value * 0x9E3779B97F4A7C15 + word) % 2**64
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ state >> shift) * factor % 2**64
        return state ^ state >> 31

    def once(value: int) -> int:
        left, right = divmod(value, 2**half)
        for number in range(6):
            left, right = right, left ^ mix(right, number) % 2**half
        return left * 2**half + right

    def walked(value: int) -> int:
        value = once(value)
        return value if value < size else walked(value)

    return [walked(value) for value in range(size)]


def test_the_permutation_is_the_documented_one_at_every_small_size() -> None:
    """Around each power of two in particular, where the number of bits that hold a size changes."""
    for size in (*range(1, 70), 255, 256, 257, 511, 512, 513, 1_023, 1_024, 1_025):
        assert permuted_prefix(size, size, KEY).tolist() == _permuted(size, KEY), size
