"""What an encoder-decoder writes and how likely it finds each label: greedy decoding with a cache, by forward passes.

Only the public call of the model is used, on the route that `generate` takes (encoder once, then the whole
model with `encoder_outputs`), so deltas that act by hooks act here too. Hugging Face's `generate` gives the
same sequences; its set-up cost for each call is what this module avoids.

Shapes: b examples of a batch, s source tokens, v vocabulary, c labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class _Decoding:
    """One batch on its way: the encoder's output, its mask and the decoder's cache."""

    def __init__(self, model: Any, input_ids: Tensor, attention_mask: Tensor) -> None:
        self._model = model
        self._mask = attention_mask
        self._encoded = model.get_encoder()(input_ids=input_ids, attention_mask=attention_mask)
        self._cache: Any = None

    def advance(self, tokens: Tensor) -> Tensor:
        """Feed (b, k) decoder tokens; logits of what follows each, (b, k, v), in float32."""
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
        """Forget the last `count` tokens."""
        self._cache.crop(-count)

    def keep(self, rows: Tensor) -> None:
        """Go on with some examples only; `rows` are indices."""
        self._cache.batch_select_indices(rows)
        self._mask = self._mask[rows]
        self._encoded = type(self._encoded)(last_hidden_state=self._encoded.last_hidden_state[rows])


def _continue(
    decoding: _Decoding, rows: list[int], tokens: Tensor, written: list[list[int]], end: int, length: int
) -> None:
    """Greedy decoding into `written`, from the token (len(rows),) that each of `rows` writes next.

    Finished examples leave the batch once half of it has finished.
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
    """What the model writes, end of sequence included where it comes within `length` tokens; and, first, (b,)
    log-probabilities of the first token.

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
    """Log-probability of each label, (b, c), and what the model writes when it is free to.

    The score of a label is the teacher-forced sum over its tokens, end of sequence included (design section
    5). The same passes tell whether greedy decoding writes that label: it does where every one of its tokens
    is the most likely one. Only examples that write none of the labels are decoded further, up to the longest
    label's length, so one-token labels of a tuned model cost no further step.
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
