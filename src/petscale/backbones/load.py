"""Loads a backbone from a local folder: mapped safetensors, no remote code, and only the head is random.

`from_pretrained` is not used, for three reasons: it decides whether T5's embeddings are tied by comparing values and
warns about it, it draws a head from the global random state, and it takes twice as long, for each of thousands of small
cells. A test checks that this loader gives the same results.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from petscale.backbones.check import check_folder
from petscale.backbones.reading import CONFIG, model_tensors, read_object
from petscale.errors import BadInput
from petscale.families.family import Family
from petscale.families.registry import lookup

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


# What a model returns is asked by its caller; a config that was saved with other settings must not change it.
_OUTPUTS = {"return_dict": True, "output_hidden_states": False, "output_attentions": False}


def load_model(
    folder: Path,
    family: str,
    *,
    num_labels: int | None = None,
    head_seed: int = 0,
    dtype: str = "float32",
    device: str = "cpu",
    dropout: float | None = None,
) -> Any:
    """Load the family's model of transformers, in evaluation mode.

    Args:
        folder: folder of the backbone.
        family: name in `petscale.families.registry`.
        num_labels: units of the classification head, for families with one.
        head_seed: the head is a function of this seed only.
        dtype: `float32` or `bfloat16`.
        device: device of the weights.
        dropout: replaces every dropout rate of the config.

    Raises:
        BadInput: the folder is refused, its config is of another family, or its tensors are not those of the config.
    """
    known = lookup(family)
    check_folder(folder)
    if dtype not in _DTYPES:
        raise BadInput(f"dtype {dtype!r}: one of {', '.join(_DTYPES)} is needed")
    model = _empty(folder, known, num_labels, dropout)
    state = dict(_tensors(folder, known, _DTYPES[dtype], device))
    known.complete(state, model.config, head_seed=head_seed, dtype=_DTYPES[dtype], device=device)
    _assign(model, state, folder, unused=known.derived)
    known.finish(model, device)
    return model.eval()


def check_model(folder: Path, family: Family) -> None:
    """Make the model of a folder without its weights, and compare the stored tensors with its own.

    This finds what the shape does not show, such as an activation that transformers does not know.

    Raises:
        BadInput: the config is of no model of the family, or a tensor has another shape in the model.
    """
    model = _empty(folder, family, 2 if family.has_head else None, None)
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, tensor in model_tensors(folder, family).items():
        if own.get(name) != tensor.shape:
            raise BadInput(f"{tensor.file}: tensor {name}: {tensor.shape}, the model has {own.get(name, 'none')}")


def _empty(folder: Path, family: Family, num_labels: int | None, dropout: float | None) -> Any:
    """The model of a folder with undefined weights."""
    config = _config(folder, family, dropout)
    try:
        with torch.device("meta"):
            return family.new_model(config, num_labels)
    except BadInput as error:
        raise BadInput(f"{folder / CONFIG}: {error}") from None
    except Exception as error:
        # transformers raises whatever it meets first; all of it means that the config cannot be used.
        said = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{folder / CONFIG}: no config that transformers can use ({said[:300]})") from None


def _config(folder: Path, family: Family, dropout: float | None) -> dict[str, Any]:
    path = folder / CONFIG
    document = read_object(path)
    if document.get("model_type") != family.name:
        raise BadInput(f"{path}: key model_type: {document.get('model_type')!r}, not {family.name!r}")
    document |= _OUTPUTS
    if dropout is not None:
        document |= dict.fromkeys(family.dropout_keys, dropout)
    return document


def _tensors(folder: Path, family: Family, dtype: torch.dtype, device: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors by their name in the model. On CPU they are mapped privately, so that writing to one changes no file."""
    by_file: dict[Path, list[tuple[str, str]]] = {}
    for name, tensor in model_tensors(folder, family).items():
        by_file.setdefault(tensor.file, []).append((name, tensor.name))
    for path, names in by_file.items():
        try:
            with safe_open(path, framework="pt", device=device) as file:
                for name, stored in names:
                    yield name, file.get_tensor(stored).to(dtype)
        except SafetensorError as error:
            raise BadInput(f"{path}: not a readable safetensors file ({error})") from None


def _assign(model: Any, state: dict[str, torch.Tensor], folder: Path, unused: frozenset[str]) -> None:
    """Set the tensors as the model's parameters.

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
