"""Greedy decoding with a cache for encoder-decoder models, and the log-probabilities of label words.

Only the public call of the model is used, in the same way as `generate` does (the encoder once, then the whole model
with `encoder_outputs`), so deltas that act through hooks act here too. Hugging Face's `generate` gives the same
sequences; this module avoids its set-up cost for each call.

Shapes: b examples of a batch, s source tokens, v vocabulary, c labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class _Decoding:
    """The state of decoding one batch: the encoder's output, its mask and the decoder's cache."""

    def __init__(self, model: Any, input_ids: Tensor, attention_mask: Tensor) -> None:
        self._model = model
        self._mask = attention_mask
        self._encoded = model.get_encoder()(input_ids=input_ids, attention_mask=attention_mask)
        self._cache: Any = None

    def advance(self, tokens: Tensor) -> Tensor:
        """Feed (b, k) decoder tokens; return the logits of the token after each, (b, k, v), in float32."""
        output = self._model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask,
            decoder_input_ids=tokens,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = output.past_key_values
        logits: Tensor = output.logits.float()
        return logits

    def retreat(self, count: int) -> None:
        """Remove the last `count` tokens from the cache."""
        self._cache.crop(-count)

    def keep(self, rows: Tensor) -> None:
        """Keep only some examples; `rows` are their indices."""
        self._cache.batch_select_indices(rows)
        self._mask = self._mask[rows]
        self._encoded = type(self._encoded)(last_hidden_state=self._encoded.last_hidden_state[rows])


def _continue(
    decoding: _Decoding, rows: list[int], tokens: Tensor, written: list[list[int]], end: int, length: int
) -> None:
    """Decode greedily into `written`, starting with the next token (len(rows),) of each of `rows`.

    Finished examples are removed from the batch once half of it has finished.
    """
    while True:
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if not written[row] or written[row][-1] != end:
                written[row].append(token)
        running = [place for place, row in enumerate(rows) if written[row][-1] != end]
        if not running or len(written[rows[running[0]]]) == length:
            return
        if 2 * len(running) <= len(rows):
            kept = torch.tensor(running, device=tokens.device)
            decoding.keep(kept)
            rows, tokens = [rows[place] for place in running], tokens[kept]
        tokens = decoding.advance(tokens[:, None])[:, -1].argmax(-1)


def _start(model: Any, input_ids: Tensor) -> Tensor:
    """The decoder's first token for each example, (b, 1)."""
    return input_ids.new_full((len(input_ids), 1), model.config.decoder_start_token_id)


def greedy(
    model: Any, input_ids: Tensor, attention_mask: Tensor, *, end: int, length: int
) -> tuple[Tensor, list[list[int]]]:
    """Return the (b,) log-probabilities of the first token, and the generated tokens.

    They include the end of sequence if it comes within `length` tokens.

    `input_ids` and `attention_mask` are (b, s).
    """
    decoding = _Decoding(model, input_ids, attention_mask)
    written: list[list[int]] = [[] for _ in range(len(input_ids))]
    best, first = decoding.advance(_start(model, input_ids))[:, -1].log_softmax(-1).max(-1)
    _continue(decoding, list(range(len(written))), first, written, end, length)
    return best, written


def score_labels(
    model: Any, input_ids: Tensor, attention_mask: Tensor, labels: Sequence[Sequence[int]], *, end: int
) -> tuple[Tensor, list[list[int]]]:
    """Return the log-probability of each label, (b, c), and the tokens that greedy decoding generates.

    The score of a label is the teacher-forced sum over its tokens, including the end of sequence. The same passes show
    whether greedy decoding would generate that label: it would if each of its tokens is the most likely one. Only
    examples for which it generates none of the labels are decoded further, up to the length of the longest label. So
    labels of one token cost no further step on a tuned model.
    """
    decoding = _Decoding(model, input_ids, attention_mask)
    logits = decoding.advance(_start(model, input_ids))[:, -1]
    first = logits.argmax(-1)
    opening = logits.log_softmax(-1)
    scores = []
    written: list[list[int]] = [[] for _ in range(len(input_ids))]
    for label in labels:
        ids = torch.tensor(label, device=input_ids.device)
        logits = decoding.advance(ids[:-1].expand(len(input_ids), -1))  # (b, len(label) - 1, v)
        decoding.retreat(len(label) - 1)
        following = logits.log_softmax(-1).gather(-1, ids[1:].expand(len(input_ids), -1)[..., None])
        scores.append(opening[:, ids[0]] + following.sum((1, 2)))
        greedily = (first == ids[0]) & (logits.argmax(-1) == ids[1:]).all(1)
        for row in greedily.nonzero()[:, 0].tolist():
            written[row] = list(label)
    rest = [row for row, ids_written in enumerate(written) if not ids_written]
    if rest:
        rows = torch.tensor(rest, device=input_ids.device)
        decoding.keep(rows)
        _continue(decoding, rest, first[rows], written, end, max(map(len, labels)))
    return torch.stack(scores, 1), written
