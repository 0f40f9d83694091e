"""Prompt tuning: trained vectors in front of the input (Lester et al. 2021; Su et al. equation 9)."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from petscale.errors import BadInput
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Options, Request, Whole
from petscale.tuning.plan import Site
from petscale.tuning.sites import soft_tokens

_SHORTEST_INPUT = 3  # [CLS], one word, [SEP]


class PromptOptions(Options):
    """The options of prompt tuning: the length of the prompt."""

    tokens: Whole = Field(100, description="trained vectors in front of the input")


class ShortPromptOptions(PromptOptions):
    """The same options with another default length."""

    tokens: Whole = Field(50, description="trained vectors in front of the input")


def _build(offered: Inventory, request: Request[PromptOptions]) -> tuple[Site, ...]:
    tokens, positions = request.options.tokens, offered.shape.max_positions
    if positions and tokens + _SHORTEST_INPUT > positions:
        raise BadInput(
            f"{request.method}: option tokens: {tokens} soft tokens leave no room for an input in this backbone's "
            f"{positions} positions"
        )
    return tuple(soft_tokens(place, tokens) for place in offered.places_of("input"))


PROMPT = Method(
    name="prompt",
    version=1,
    reference="Lester et al. 2021; 100 tokens as in Su et al. 2023 appendix B.2",
    operations=("concat-input",),
    formula="f([X; W_prompt])",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="prompt",
    build=_build,
    options=PromptOptions,
)

PROMPT_50 = replace(
    PROMPT,
    name="prompt-50",
    reference="as prompt, with the 50 tokens that BERT-small's published 0.09 % implies",
    options=ShortPromptOptions,
)
