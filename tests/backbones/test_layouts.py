"""Every layout of a checkpoint is loaded as transformers loads it, bit for bit, or is refused by the check of a folder.

The reference is `from_pretrained`: values of every tensor, ties, number of parameters and logits.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from petscale.backbones.check import check_backbone
from petscale.backbones.convert import convert
from petscale.backbones.load import load_model
from petscale.backbones.reading import INDEX, WEIGHTS
from petscale.errors import BadInput
from petscale.families.registry import lookup, total_parameters

from .folders import bert_state, t5_state, write_folder

State = dict[str, torch.Tensor]
Config = dict[str, Any]
SHARED, ENCODER, DECODER, HEAD = (
    "shared.weight",
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "lm_head.weight",
)
UNREAD = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
IDS = torch.randint(5, 50, (3, 9), generator=torch.Generator().manual_seed(0))


def _same(state: State, name: str) -> torch.Tensor:
    return state[name].clone()


def _own(state: State) -> torch.Tensor:
    return torch.randn(state[SHARED].shape, generator=torch.Generator().manual_seed(7))


def _moved(state: State, *names: str) -> State:
    """The state without `shared`, whose matrix has these names instead."""
    rest = {name: tensor for name, tensor in state.items() if name != SHARED}
    return rest | {name: _same(state, SHARED) for name in names}


def _shards(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    names = sorted(state)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: state[name] for name in part}, folder / file, metadata={"format": "pt"})
    weight_map = {name: file for file, part in parts.items() for name in part}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / WEIGHTS).unlink()


def _pickled(folder: Path) -> None:
    """What a fetch makes of `pytorch_model.bin`, which stays beside the folder as the reference.

    In a pickle of torch, copies share their storage.
    """
    state = load_file(folder / WEIGHTS)
    if SHARED in state:
        state |= {ENCODER: state[SHARED], DECODER: state[SHARED]}
        if HEAD not in state:
            state[HEAD] = state[SHARED]
    (folder / WEIGHTS).unlink()
    published = folder.with_name("published")
    shutil.copytree(folder, published)
    torch.save(state, published / "pytorch_model.bin")
    convert(published, folder, lookup(json.loads((folder / "config.json").read_text())["model_type"]))


def _published(folder: Path) -> Path:
    """The folder from which transformers loads the reference."""
    pickled = folder.with_name("published")
    return pickled if pickled.is_dir() else folder


def _untouched(folder: Path) -> None:
    pass


T5: dict[str, tuple[bool, Callable[[State], State], Config, Callable[[Path], None]]] = {
    "v1.1": (False, lambda s: s, {}, _untouched),
    "v1.0": (True, lambda s: s, {}, _untouched),
    "v1.0, config of transformers 5": (True, lambda s: s, {"scale_decoder_outputs": True}, _untouched),
    "v1.1, config of transformers 5": (
        False,
        lambda s: s,
        {"tie_word_embeddings": True, "scale_decoder_outputs": False},
        _untouched,
    ),
    "tied head stored too": (True, lambda s: s | {HEAD: _same(s, SHARED)}, {}, _untouched),
    "tied head stored too, config without a word": (
        True,
        lambda s: s | {HEAD: _same(s, SHARED)},
        {"tie_word_embeddings": None},
        _untouched,
    ),
    "v1.1 with an equal head": (False, lambda s: s | {HEAD: _same(s, SHARED)}, {}, _untouched),
    "v1.1 without a head": (False, lambda s: {n: t for n, t in s.items() if n != HEAD}, {}, _untouched),
    "embeddings stored too": (
        False,
        lambda s: s | {ENCODER: _same(s, SHARED), DECODER: _same(s, SHARED)},
        {},
        _untouched,
    ),
    "all four equal": (
        True,
        lambda s: s | {n: _same(s, SHARED) for n in (ENCODER, DECODER, HEAD)},
        {},
        _untouched,
    ),
    "the encoder's alone": (True, lambda s: _moved(s, ENCODER), {}, _untouched),
    "the decoder's alone": (True, lambda s: _moved(s, DECODER), {}, _untouched),
    "the head alone": (True, lambda s: _moved(s, HEAD), {}, _untouched),
    "both embeddings and a head, no shared": (False, lambda s: _moved(s, ENCODER, DECODER), {}, _untouched),
    "the decoder's and an equal head, no shared": (True, lambda s: _moved(s, DECODER, HEAD), {}, _untouched),
    "the decoder's and a head of its own, no shared": (False, lambda s: _moved(s, DECODER), {}, _untouched),
    "an unread table": (False, lambda s: s | {UNREAD: torch.ones(32, 2)}, {}, _untouched),
    "shards": (False, lambda s: s, {}, _shards),
    "shards, tied head stored too": (True, lambda s: s | {HEAD: _same(s, SHARED)}, {}, _shards),
    "a pickle, untied": (False, lambda s: s, {}, _pickled),
    "a pickle, tied": (True, lambda s: s, {}, _pickled),
    "half precision": (False, lambda s: {n: t.half() for n, t in s.items()}, {}, _untouched),
    "bfloat16": (True, lambda s: {n: t.bfloat16() for n, t in s.items()}, {}, _untouched),
}


def compare(ours: Any, theirs: Any, inputs: dict[str, torch.Tensor], tolerance: float = 0.0) -> None:
    """Weights and ties are equal, and logits up to `tolerance` of their length."""
    mine, reference = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == reference.keys()
    for name, tensor in reference.items():
        assert torch.equal(mine[name], tensor), name
    ties = [
        {frozenset(n for n, p in model.named_parameters(remove_duplicate=False) if p is q) for q in model.parameters()}
        for model in (ours, theirs)
    ]
    assert ties[0] == ties[1]
    with torch.no_grad():  # T5's fused operations round differently (tests/families/test_fused.py)
        found, expected = ours(**inputs).logits.float(), theirs(**inputs).logits.float()
    assert torch.linalg.vector_norm(found - expected) <= tolerance * torch.linalg.vector_norm(expected)


@pytest.mark.parametrize("layout", T5)
def test_t5_is_loaded_as_transformers_loads_it(tmp_path: Path, layout: str) -> None:
    tied, change, said, arrange = T5[layout]
    config, state = t5_state(tied=tied)
    config |= said
    folder = write_folder(tmp_path / "t5", {k: v for k, v in config.items() if v is not None}, change(state))
    arrange(folder)
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(_published(folder), dtype=torch.float32).eval()
    ours = load_model(folder, "t5")
    compare(ours, theirs, {"input_ids": IDS, "labels": IDS}, tolerance=1e-5)
    shape = check_backbone(folder)
    assert total_parameters(shape) == sum(parameter.numel() for parameter in theirs.parameters())
    lookup("t5").check_ties(ours, shape)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s | {DECODER: _own(s)}, "tensor decoder.embed_tokens.weight: differs from shared.weight"),
        (lambda s: s | {ENCODER: _own(s)}, "tensor encoder.embed_tokens.weight: differs from shared.weight"),
        (lambda s: _moved(s, ENCODER) | {DECODER: _own(s)}, "decoder.embed_tokens.weight: differs from encoder.embed"),
        (lambda s: {f"module.{n}": t for n, t in s.items()}, "decoder.block.0.layer.0.SelfAttention.k.weight: missing"),
        (lambda s: {f"transformer.{n}": t for n, t in s.items()}, "SelfAttention.k.weight: missing"),
        (lambda s: s | {"extra.weight": torch.ones(2)}, "tensor extra.weight: (2,), the config asks for none"),
        (lambda s: {n: t for n, t in s.items() if n != SHARED and n != HEAD}, "tensor shared.weight: missing"),
        (lambda s: {n: t.to(torch.int8) for n, t in s.items()}, "of type I8; quantised weights cannot be tuned"),
        (lambda s: s | {SHARED: torch.ones(49, 16)}, "tensor shared.weight: (49, 16), the config asks for (50, 16)"),
    ],
)
def test_what_transformers_would_load_otherwise_is_refused(
    tmp_path: Path, change: Callable[[State], State], message: str
) -> None:
    """A decoder's own embedding was dropped without a word: logits differed by 1.98."""
    config, state = t5_state(tied=True)
    folder = write_folder(tmp_path / "t5", config, change(state))
    with pytest.raises(BadInput) as error:
        check_backbone(folder)
    assert message in str(error.value)
    assert str(folder) in str(error.value)
    if "quantised" not in message:
        with pytest.raises(BadInput):
            load_model(folder, "t5")


def _old_names(state: State) -> State:
    names = {name: name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta") for name in state}
    return {names[name]: tensor for name, tensor in state.items()}


def _of(kind: str) -> State:
    config = transformers.BertConfig(**{k: v for k, v in bert_state()[0].items() if k != "model_type"})
    torch.manual_seed(3)
    model = getattr(transformers, kind)(config)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _positions(state: State) -> State:
    return state | {"bert.embeddings.position_ids": torch.arange(20)[None]}


BERT: dict[str, tuple[Callable[[], State], Callable[[Path], None]]] = {
    "pre-training, names of TensorFlow": (lambda: bert_state()[1], _untouched),
    "pre-training": (lambda: _of("BertForPreTraining"), _untouched),
    "bare": (lambda: _of("BertModel"), _untouched),
    "bare, names of TensorFlow": (lambda: _old_names(_of("BertModel")), _untouched),
    "next sentence": (lambda: _of("BertForNextSentencePrediction"), _untouched),
    "multiple choice, whose head has one unit": (lambda: _of("BertForMultipleChoice"), _untouched),
    "classification": (lambda: _of("BertForSequenceClassification"), _untouched),
    "stored positions": (lambda: _positions(_of("BertForPreTraining")), _untouched),
    "shards": (lambda: _of("BertForPreTraining"), _shards),
    "a pickle": (lambda: _of("BertForPreTraining"), _pickled),
    "half precision": (lambda: {n: t.half() for n, t in _of("BertModel").items()}, _untouched),
    "a task of its own beside the encoder": (
        lambda: _of("BertForPreTraining") | {"my_head.weight": torch.ones(2)},
        _untouched,
    ),
}


@pytest.mark.parametrize("layout", BERT)
def test_bert_is_loaded_as_transformers_loads_it(tmp_path: Path, layout: str) -> None:
    """But for the head, which petscale draws from the cell's seed, also where a file has one."""
    make, arrange = BERT[layout]
    folder = write_folder(tmp_path / "bert", bert_state()[0], make())
    arrange(folder)
    theirs = transformers.BertForSequenceClassification.from_pretrained(
        _published(folder), num_labels=3, dtype=torch.float32, ignore_mismatched_sizes=True
    ).eval()
    ours = load_model(folder, "bert", num_labels=3)
    theirs.classifier.load_state_dict(ours.classifier.state_dict())
    compare(ours, theirs, {"input_ids": IDS, "token_type_ids": (IDS > 20).long()})
    check_backbone(folder)


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForQuestionAnswering", "BertForTokenClassification"])
def test_a_checkpoint_without_a_pooler_is_refused(tmp_path: Path, kind: str) -> None:
    """transformers draws a random one, so each load would be another model."""
    folder = write_folder(tmp_path / "bert", bert_state()[0], _of(kind))
    with pytest.raises(BadInput, match=r"tensor bert\.pooler\.dense\.bias: missing, .*; was the checkpoint saved from"):
        check_backbone(folder)


def test_two_tensors_that_would_become_one_are_refused(tmp_path: Path) -> None:
    state = _of("BertForPreTraining")
    state["bert.embeddings.LayerNorm.gamma"] = state["bert.embeddings.LayerNorm.weight"] + 1
    folder = write_folder(tmp_path / "bert", bert_state()[0], state)
    with pytest.raises(BadInput, match=r"are both bert\.embeddings\.LayerNorm\.weight"):
        check_backbone(folder)
