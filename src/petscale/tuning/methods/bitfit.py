"""BitFit: trains the biases (Ben Zaken et al. 2022; Su et al. equation 11), and inserts them if a backbone has none.

The literature has three different counts under this name, so there are three methods here. `bitfit` is that of
T5-small, T5-base and BERT. On T5 it covers the self-attentions, feed-forward networks, every normalisation and the
output head. On BERT it covers the attention, the second feed-forward matrix and the two normalisations of each layer,
but not the bias of the first feed-forward matrix, which the authors' library missed. `bitfit-t5-xxl` is that of T5-XXL,
from another code base. Inserted biases start at zero here; OpenDelta draws them, so its BitFit does not start at the
pre-trained function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from petscale.errors import BadInput
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Options, Request
from petscale.tuning.plan import Site
from petscale.tuning.sites import inserted_bias, inserted_table, living, whole_weight

_RESIZED_VOCABULARY = 32100  # the released code reduces T5's 32128 rows to the tokenizer's length


def _published(offered: Inventory, _request: Request[Options]) -> Iterator[Site]:
    own = [weight for weight in offered.weights if weight.tensor == "bias" and weight.layer is not None]
    if own:
        yield from (whole_weight(weight) for weight in own if weight.role != "ffn.up.bias")
        return
    for place in offered.places_of("bias"):
        if not place.role.startswith("cross."):
            yield inserted_bias(place)


def _t5_xxl(offered: Inventory, request: Request[Options]) -> Iterator[Site]:
    tables = offered.weights_of("relative")
    if not tables:
        raise BadInput(f"{request.method}: only a T5 backbone has the relative-position tables that it trains")
    for place in offered.places_of("bias"):
        if place.role == "vocabulary.bias":
            yield inserted_bias(place, width=min(_RESIZED_VOCABULARY, place.width_out))
        elif place.role != "norm.bias":
            yield inserted_bias(place)
    yield from (whole_weight(table) for table in tables)
    # The released code gives every cross-attention a table, which is read in the same way as the decoder's own table.
    for place in offered.places_of("table"):
        decoder_table = tables[-1]
        yield inserted_table(place, (decoder_table.shape[0], decoder_table.shape[1]), living(decoder_table))


def _every_bias(offered: Inventory, _request: Request[Options]) -> Iterator[Site]:
    yield from (whole_weight(weight) for weight in offered.weights if weight.tensor == "bias")
    yield from (inserted_bias(place) for place in offered.places_of("bias"))


BITFIT = Method(
    name="bitfit",
    version=1,
    reference="Ben Zaken et al. 2022; biases as counted by Su et al. 2023 on T5-small, T5-base and BERT",
    operations=("add", "add-hidden"),
    formula="f(h) + W_b",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="bitfit",
    build=_published,
)

BITFIT_T5_XXL = replace(
    BITFIT,
    name="bitfit-t5-xxl",
    reference="Ben Zaken et al. 2022; biases as counted by Su et al. 2023 on T5-XXL",
    operations=("add", "add-hidden", "add-scores"),
    build=_t5_xxl,
)

BITFIT_ALL = replace(
    BITFIT,
    name="bitfit-all",
    reference="Ben Zaken et al. 2022; every bias of the model, inserted where there is none",
    build=_every_bias,
)
