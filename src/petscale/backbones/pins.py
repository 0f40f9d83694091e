"""The pinned commit of each backbone on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PINS: Mapping[str, str] = MappingProxyType(
    {
        "google/t5-v1_1-small": "53a7297b5c63005dbde0cde571029743e9106391",
        "google/t5-v1_1-base": "b5fc947a416ea3cb079532cb3c2bbadeb7f800fc",
        "google/t5-v1_1-large": "a98b0fcd0b8137ded40cdf0c0cf0ee884e7c9726",
        "google/t5-v1_1-xxl": "3db67ab1af984cf10548a73467f0e5bca2aaaeb2",
        "t5-large": "150ebc2c4b72291e770f58e6057481c8d2ed331a",
        "t5-3b": "bed96aab9ee46012a5046386105ee5fd0ac572f0",
        "t5-11b": "90f37703b3334dfe9d2b009bfcbfbf1ac9d28ea3",
        "google/bert_uncased_L-4_H-512_A-8": "300d527ce921ae72fb9bcccf5b2ab0f7e1cccaee",
        "google/bert_uncased_L-12_H-768_A-12": "25c3a2f166d138a30b5c0bc7ad77bb65e6755594",
        "bert-large-uncased": "6da4b6a26a1877e173fca3225479512db81a5e5b",
    }
)
"""Commits found in public code or on stored pages of the hub (docs/tasks.md). Other backbones are taken from `main`;
the commit found there is recorded in the backbone's manifest, and a later fetch uses it again."""
