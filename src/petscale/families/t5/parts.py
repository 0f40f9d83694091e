"""The parts of T5 (v1.0 and v1.1), as `T5ForConditionalGeneration` of transformers 5.

These entries are dead (docs/mechanism.md): with a target of one token, the decoder's self-attention is a softmax over a
single key, so its q, k and relative table have no effect; a row of a relative table is dead if no pair of positions
falls into its bucket; a bias on k adds the same score to every key, which softmax cancels. Where a method adds keys
that do not come from the sequence, the first and the last of these have an effect. Inputs are assumed to be longer than
the relative distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from petscale.families.parts import Place, Ranges, Stack, Weight
from petscale.families.shape import BackboneShape

_HEAD = "lm_head"


def weights(shape: BackboneShape, target_length: int | None, more_keys: frozenset[str]) -> tuple[Weight, ...]:
    """All tensors of a T5, with role, shape and dead entries; the arguments are those of `Family.weights`."""
    return tuple(_weights(shape, target_length, more_keys))


def places(shape: BackboneShape, target_length: int | None, more_keys: frozenset[str]) -> tuple[Place, ...]:
    """The places of a T5 where a method can insert something; the arguments are those of `Family.places`."""
    return tuple(_places(shape, target_length, more_keys))


def _weights(shape: BackboneShape, target_length: int | None, more_keys: frozenset[str]) -> Iterator[Weight]:
    d, ff = shape.d_model, shape.d_ff
    yield Weight("shared", "weight", "vocabulary", (shape.vocab, d), "")
    for stack, layers in _stacks(shape):
        for layer in range(layers):
            for sublayer, path in _attentions(stack, layer):
                for letter in "qkvo":
                    size = (d, shape.inner) if letter == "o" else (shape.inner, d)
                    dead = path not in more_keys and _cannot_act(stack, sublayer, letter, target_length)
                    entries = _all(size) if dead else ()
                    yield Weight(f"{path}.{letter}", "weight", f"{sublayer}.{letter}", size, stack, entries, layer)
                if sublayer == "self" and layer == 0:
                    size = (shape.relative_buckets, shape.heads)
                    rows = _dead_rows(shape, stack, target_length, _attends_further(shape, stack, more_keys))
                    dead_rows = _rows(rows, shape.heads)
                    table = f"{path}.relative_attention_bias"
                    yield Weight(table, "weight", "relative", size, stack, dead_rows, layer)
                yield Weight(f"{_parent(path)}.layer_norm", "weight", "norm", (d,), stack, layer=layer)
            path = _feed_forward(stack, layer)
            for name, role in _inputs(shape):
                yield Weight(f"{path}.DenseReluDense.{name}", "weight", role, (ff, d), stack, layer=layer)
            yield Weight(f"{path}.DenseReluDense.wo", "weight", "ffn.down", (d, ff), stack, layer=layer)
            yield Weight(f"{path}.layer_norm", "weight", "norm", (d,), stack, layer=layer)
        yield Weight(f"{stack}.final_layer_norm", "weight", "norm", (d,), stack)
    if not shape.tied:
        yield Weight(_HEAD, "weight", "vocabulary", (shape.vocab, d), "")


def _places(shape: BackboneShape, target_length: int | None, more_keys: frozenset[str]) -> Iterator[Place]:
    d = shape.d_model
    yield Place("encoder", "input", "input", 0, d, "encoder")
    for weight in _weights(shape, target_length, more_keys):
        dead = bool(weight.dead) and weight.dead == _all(weight.shape)
        if weight.role == "norm":
            yield Place(weight.module, "bias", "norm.bias", 0, d, weight.stack)
        elif weight.role.startswith(("self.", "cross.", "ffn.")):
            out, inside = weight.shape
            cancelled = weight.role.endswith(".k") and _parent(weight.module) not in more_keys
            yield Place(weight.module, "bias", f"{weight.role}.bias", 0, out, weight.stack, dead or cancelled)
            yield Place(weight.module, "branch", weight.role, inside, out, weight.stack, dead)
    yield Place(_HEAD, "bias", "vocabulary.bias", 0, shape.vocab, "")
    for stack, layers in _stacks(shape):
        for layer in range(layers):
            for sublayer, path in _attentions(stack, layer):
                yield Place(_parent(path), "stream", sublayer, d, d, stack)
                yield Place(f"{_parent(path)}.dropout", "sublayer", sublayer, d, d, stack)
                yield Place(path, "attention", sublayer, d, shape.inner, stack)
                if sublayer == "cross":
                    # T5 passes the position scores of block 0 to the blocks above, which never read their own table.
                    size = shape.relative_buckets * shape.heads
                    inert = layer > 0 or (target_length == 1 and path not in more_keys)
                    yield Place(path, "table", "relative", 0, size, stack, inert)
            path = _feed_forward(stack, layer)
            yield Place(path, "stream", "ffn", d, d, stack)
            yield Place(f"{path}.dropout", "sublayer", "ffn", d, d, stack)
            yield Place(path, "parallel", "ffn", d, d, stack, reads=path)


def table_of(attention: str) -> str | None:
    """Path of the attention that has the position table which an attention adds; None for cross-attention."""
    stack = attention.partition(".")[0]
    return f"{stack}.block.0.layer.0.SelfAttention" if attention.endswith(".SelfAttention") else None


def _stacks(shape: BackboneShape) -> tuple[tuple[Stack, int], ...]:
    return (("encoder", shape.layers), ("decoder", shape.decoder_layers))


def _attentions(stack: Stack, layer: int) -> tuple[tuple[str, str], ...]:
    own = ("self", f"{stack}.block.{layer}.layer.0.SelfAttention")
    if stack == "encoder":
        return (own,)
    return (own, ("cross", f"decoder.block.{layer}.layer.1.EncDecAttention"))


def _feed_forward(stack: Stack, layer: int) -> str:
    return f"{stack}.block.{layer}.layer.{1 if stack == 'encoder' else 2}"


def _inputs(shape: BackboneShape) -> tuple[tuple[str, str], ...]:
    return (("wi_0", "ffn.gate"), ("wi_1", "ffn.up")) if shape.gated else (("wi", "ffn.up"),)


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _cannot_act(stack: Stack, sublayer: str, letter: str, target_length: int | None) -> bool:
    return stack == "decoder" and sublayer == "self" and letter in "qk" and target_length == 1


def _all(size: tuple[int, ...]) -> Ranges:
    return ((0, math.prod(size)),)


def _rows(rows: list[int], width: int) -> Ranges:
    """Flat positions of complete rows, as ranges in which neighbouring rows are joined."""
    joined: list[tuple[int, int]] = []
    for row in rows:
        start, stop = row * width, (row + 1) * width
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)


def _attends_further(shape: BackboneShape, stack: Stack, more_keys: frozenset[str]) -> bool:
    """Whether any self-attention of the stack, all of which add the same table, has keys beyond the sequence."""
    layers = dict(_stacks(shape))[stack]
    return any(_attentions(stack, layer)[0][1] in more_keys for layer in range(layers))


def _dead_rows(shape: BackboneShape, stack: Stack, target_length: int | None, further: bool) -> list[int]:
    alive = reachable_buckets(shape, stack, target_length, further=further)
    return [row for row in range(shape.relative_buckets) if row not in alive]


def reachable_buckets(
    shape: BackboneShape, stack: Stack, target_length: int | None, *, further: bool = False
) -> frozenset[int]:
    """Rows of a relative table that some pair of positions reads and that softmax does not cancel.

    The rule for buckets is that of `T5Attention._relative_position_bucket`. The decoder has backward distances from 0
    to target_length - 1; the encoder has both directions at any distance. There is no forward distance 0, so the
    encoder's first forward bucket is never read. With a target of one token, softmax cancels the score of the only key,
    unless an attention has keys beyond the sequence (`further`).
    """
    far = 2 * shape.relative_distance
    if stack == "decoder":
        if target_length == 1 and not further:
            return frozenset()
        last = far if target_length is None else min(target_length - 1, far)
        return frozenset(_bucket(distance, shape.relative_buckets, shape) for distance in range(last + 1))
    half = shape.relative_buckets // 2
    back = {_bucket(distance, half, shape) for distance in range(far + 1)}
    return frozenset(back | {half + _bucket(distance, half, shape) for distance in range(1, far + 1)})


def _bucket(distance: int, buckets: int, shape: BackboneShape) -> int:
    exact = buckets // 2
    if distance < exact:
        return distance
    scale = math.log(distance / exact) / math.log(shape.relative_distance / exact)
    return min(exact + int(scale * (buckets - exact)), buckets - 1)
