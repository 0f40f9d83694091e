"""Builds one backbone of the mini family: documents, tokenizer, pre-training, and the folder in the usual format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from transformers import PreTrainedTokenizerFast

from petscale.families.registry import lookup
from petscale.mini.corpus import Document, digest, documents
from petscale.mini.specs import Spec, spec_of
from petscale.pretraining.batches import Batches
from petscale.pretraining.models import Model, new_model, word_scores
from petscale.pretraining.muon import Muon
from petscale.pretraining.tokenizer import new_tokenizer

DOCUMENTS = 60_000
HELD_OUT = 1_000
DRAWN = 2_000
HELD_OUT_SEED = 7
CLIP = 1.0


def build_backbone(name: str, out_dir: Path, *, seed: int = 0, steps: int | None = None) -> dict[str, Any]:
    """Build the backbone `name` (or its control `<name>-random`) in the folder `out_dir`.

    The same machine and library versions give the same bytes, because training runs on one thread.

    Args:
        name: a key of `SPECS`, with `-random` for the control that is not pre-trained.
        out_dir: folder for `config.json`, `model.safetensors`, the tokenizer and `training.json`; created if missing.
        seed: seed of the weights, the order of documents and the corruption; the language does not depend on it.
        steps: number of steps instead of the specification's, for tests.

    Returns:
        The content of `training.json`: held-out loss (mean over predicted tokens of unseen documents), steps, seed,
        corpus digest, versions.

    Raises:
        ValueError: there is no backbone of that name.
    """
    spec, is_random = spec_of(name)
    steps = 0 if is_random else spec.steps if steps is None else steps
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(seed)
        form = lookup(spec.family).form
        tokenizer = new_tokenizer(form)
        model = new_model(form, spec, len(tokenizer))
        texts = documents(DOCUMENTS, "train") if steps else []
        if steps:
            train(model, Batches(form, tokenizer, texts, seed), spec, steps)
        record = {
            "name": name,
            "seed": seed,
            "steps": steps,
            "held_out_loss": round(held_out_loss(model, spec, tokenizer), 4),
            "corpus": digest(texts) if steps else None,
            "versions": {module.__name__: module.__version__ for module in (torch, transformers, tokenizers, np)},
        }
    finally:
        torch.set_num_threads(threads)
    out_dir.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    (out_dir / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def train(model: Model, batches: Batches, spec: Spec, steps: int) -> None:
    """Train with Muon for the layers' matrices and AdamW for the rest; linear warm-up, then linear decay to a fiftieth.

    Muon (Jordan et al. 2024) learns rare associations, such as facts, in about half as many steps as AdamW.
    """
    parameters = list(model.parameters())
    output = model.get_output_embeddings()
    matrices = [
        module.weight
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not output and min(module.weight.shape) >= spec.d_model
    ]
    chosen = {id(matrix) for matrix in matrices}
    rest = [parameter for parameter in parameters if id(parameter) not in chosen]
    optimizers = [
        Muon(matrices, spec.muon_rate),
        torch.optim.AdamW(rest, spec.peak_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    ]

    def rate(step: int) -> float:
        return min((step + 1) / spec.warmup, max(0.02, 1 - (step - spec.warmup) / max(1, steps - spec.warmup)))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, rate) for optimizer in optimizers]
    model.train()
    recent = 0.0
    for step, batch in zip(range(steps), batches.stream(spec.batch), strict=False):
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        recent += loss.item()
        if (step + 1) % 250 == 0:
            print(f"step {step + 1} of {steps}: loss {recent / 250:.3f}", flush=True)
            recent = 0.0


@torch.no_grad()
def held_out_loss(model: Model, spec: Spec, tokenizer: PreTrainedTokenizerFast) -> float:
    """Mean loss in nats over the predicted tokens of 1,000 documents that are not in the corpus, fixed corruption."""
    model.eval()
    batches = Batches(lookup(spec.family).form, tokenizer, unseen(), HELD_OUT_SEED)
    total, count = 0.0, 0
    for batch in batches.once(100):
        labels = batch["labels"]
        scores = word_scores(model(**{key: value for key, value in batch.items() if key != "next_sentence_label"}))
        total += torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="sum").item()
        count += int((labels >= 0).sum())
    return total / count


def unseen() -> list[Document]:
    """The first 1,000 held-out documents that do not stand word for word in the training corpus.

    The language is small: about a third of all documents that are drawn anew repeat one of the corpus.
    """
    corpus = set(documents(DOCUMENTS, "train"))
    return [text for text in documents(DRAWN, "held-out") if text not in corpus][:HELD_OUT]
