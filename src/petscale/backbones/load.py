"""A backbone in memory from a local folder: mapped safetensors, no remote code, nothing random but the head.

`from_pretrained` is not used: it decides the tying of T5's embeddings by comparing values and warns about it, draws a
head from the global random state, and takes twice the time, which thousands of small cells pay. A test holds this
loader to its results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open

from petscale.backbones.folder import check_folder, weight_files
from petscale.errors import BadInput

Family = Literal["t5", "bert"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_DROPOUT = {
    "t5": ("dropout_rate", "classifier_dropout"),
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
}

# Tensors that some published files carry and the model has no use for: copies of the shared matrix, a table that
# older T5 code made and never read (facts 1.7), pre-training heads, a buffer of older BERT code.
_T5_UNUSED = frozenset(
    {
        "encoder.embed_tokens.weight",
        "decoder.embed_tokens.weight",
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
    }
)
_BERT_UNUSED = ("cls.", "bert.embeddings.position_ids")
_BERT_HEAD = "classifier."


def load_model(
    folder: Path,
    family: Family,
    *,
    num_labels: int | None = None,
    head_seed: int = 0,
    dtype: str = "float32",
    device: str = "cpu",
    dropout: float | None = None,
) -> Any:
    """`T5ForConditionalGeneration` or `BertForSequenceClassification` in evaluation mode.

    T5's output matrix is its own where the file holds one, else the embedding. The classification head is drawn from
    `head_seed` alone: normal with the config's standard deviation, biases 0. `dropout` replaces every dropout rate
    of the config.

    Raises:
        BadInput: the folder is refused, or its tensors are not those of the config.
    """
    check_folder(folder)
    if dtype not in _DTYPES:
        raise BadInput(f"dtype {dtype!r}: one of {', '.join(_DTYPES)} is needed")
    config = _config(folder, family, num_labels, dropout)
    with torch.device("meta"):
        model: Any = _model_class(family)(config)
    state = dict(_tensors(folder, family, _DTYPES[dtype], device))
    if family == "t5":
        state.setdefault("lm_head.weight", state.get("shared.weight", torch.empty(0)))
    else:
        state |= _head(config, head_seed, _DTYPES[dtype], device)
    _assign(model, state, folder, unused=_T5_UNUSED)
    if family == "t5":
        _share_embeddings(model)
    else:
        _restore_buffers(model, device)
    return model.eval()


def _config(folder: Path, family: Family, num_labels: int | None, dropout: float | None) -> Any:
    path = folder / "config.json"
    document = json.loads(path.read_bytes())
    if document.get("model_type") != family:
        raise BadInput(f"{path}: key model_type: {document.get('model_type')!r}, not {family!r}")
    if dropout is not None:
        document |= dict.fromkeys(_DROPOUT[family], dropout)
    if family == "t5":
        from transformers.models.t5.configuration_t5 import T5Config

        return T5Config.from_dict(document)
    from transformers.models.bert.configuration_bert import BertConfig

    if num_labels is None:
        raise BadInput(f"{folder}: a classification head needs a number of labels")
    for key in ("id2label", "label2id", "problem_type"):
        document.pop(key, None)
    document["num_labels"] = num_labels
    # Several classes and integer labels: cross-entropy, for two classes too.
    document["problem_type"] = "single_label_classification"
    return BertConfig.from_dict(document)


def _model_class(family: Family) -> Any:
    if family == "t5":
        from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration

        return T5ForConditionalGeneration
    from transformers.models.bert.modeling_bert import BertForSequenceClassification

    return BertForSequenceClassification


def _bert_name(name: str) -> str:
    """Today's name: files of a bare encoder lack the prefix, files from TensorFlow call norms gamma and beta."""
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    return name if name.startswith(("bert.", "cls.", _BERT_HEAD)) else f"bert.{name}"


def _tensors(folder: Path, family: Family, dtype: torch.dtype, device: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors by today's names. On CPU they are mapped privately: writing to one changes no file."""
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt", device=device) as file:
                for stored in file.keys():  # noqa: SIM118  (no mapping)
                    name = _bert_name(stored) if family == "bert" else stored
                    if family == "bert" and name.startswith((*_BERT_UNUSED, _BERT_HEAD)):
                        continue
                    yield name, file.get_tensor(stored).to(dtype)
        except SafetensorError as error:
            raise BadInput(f"{path}: not a readable safetensors file ({error})") from None


def _head(config: Any, seed: int, dtype: torch.dtype, device: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.empty(config.num_labels, config.hidden_size)
    weight.normal_(0.0, config.initializer_range, generator=generator)
    bias = torch.zeros(config.num_labels)
    tensors = {f"{_BERT_HEAD}weight": weight, f"{_BERT_HEAD}bias": bias}
    return {name: tensor.to(device=device, dtype=dtype) for name, tensor in tensors.items()}


def _assign(model: Any, state: dict[str, torch.Tensor], folder: Path, unused: frozenset[str]) -> None:
    """Make the tensors the model's parameters.

    Raises:
        BadInput: a tensor is missing, unknown or of another shape.
    """
    expected = {name: tensor.shape for name, tensor in model.state_dict().items() if name not in unused}
    found = {name: tensor.shape for name, tensor in state.items() if name not in unused}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise BadInput(
                f"{folder}: tensor {name}: {tuple(found[name]) if name in found else 'missing'}, "
                f"the config asks for {tuple(expected[name]) if name in expected else 'none'}"
            )
    model.load_state_dict({name: state[name] for name in expected}, strict=False, assign=True)


def _share_embeddings(model: Any) -> None:
    """Encoder and decoder read the shared matrix; the head too, where the file has none of its own."""
    model.encoder.embed_tokens.weight = model.shared.weight
    model.decoder.embed_tokens.weight = model.shared.weight
    if model.lm_head.weight.data_ptr() == model.shared.weight.data_ptr():
        model.lm_head.weight = model.shared.weight


def _restore_buffers(model: Any, device: str) -> None:
    """BERT's constant buffers are in no file: positions 0, 1, ... and segment 0."""
    embeddings = model.bert.embeddings
    positions = torch.arange(embeddings.position_ids.shape[1], device=device)[None]
    embeddings.position_ids = positions
    embeddings.token_type_ids = torch.zeros_like(positions)
