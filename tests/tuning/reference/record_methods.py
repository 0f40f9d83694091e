"""Records what the adapters library computes with the methods of Lialin et al., for tests in another environment.

The environment is that of record_adapters.py:

    /tmp/adapters/bin/python tests/tuning/reference/record_methods.py

writes methods.safetensors beside this file. Weights of both sides follow from their names (`fill`), so only logits and
gradients are recorded. Batches have no padding: the library's gates average over it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

if __name__ == "__main__":
    from record_adapters import BERT, T5, batch, fill
else:
    from .record_adapters import BERT, T5, batch, fill

FILE = Path(__file__).with_name("methods.safetensors")

# Method of petscale -> its options, and the families on which the library's method is the same.
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "houlsby": ({"reduction": 4}, ("t5", "bert")),
    "pfeiffer": ({"reduction": 4}, ("t5",)),
    "parallel-adapter": ({"reduction": 2}, ("t5", "bert")),
    "compacter": ({"reduction": 4}, ("t5", "bert")),
    "compacter-plus": ({"reduction": 4}, ("t5",)),
    "phm": ({"reduction": 4}, ("t5", "bert")),
    "prefix-flat": ({"tokens": 3, "positions": "shifted"}, ("t5",)),
    "prefix": ({"tokens": 3, "middle": 5, "positions": "shifted"}, ("t5",)),
    "mam": ({"tokens": 3, "middle": 5, "positions": "shifted"}, ("t5",)),
    "unipelt": (
        {"tokens": 3, "middle": 5, "rank": 2, "reduction": 4, "positions": "shifted", "over": "sequence"},
        ("t5",),
    ),
}
# BERT has no relative positions.
ON_BERT: dict[str, dict[str, Any]] = {
    name: {key: value for key, value in CASES[name][0].items() if key != "positions"}
    for name in ("prefix-flat", "prefix", "mam")
}


def cases() -> list[tuple[str, str, dict[str, Any]]]:
    """Family, method and options of every recorded case."""
    found = [(family, name, options) for name, (options, families) in CASES.items() for family in families]
    return found + [("bert", name, options) for name, options in ON_BERT.items()]


def inputs(family: str) -> dict[str, torch.Tensor]:
    """A batch without padding."""
    made = batch(family)
    return made | {"attention_mask": torch.ones_like(made["attention_mask"])}


def _config(method: str) -> Any:
    import adapters

    serial, prefix = adapters.SeqBnConfig(reduction_factor=4), {"prefix_length": 3, "bottleneck_size": 5}
    return {
        "houlsby": adapters.DoubleSeqBnConfig(reduction_factor=4),
        "pfeiffer": serial,
        "parallel-adapter": adapters.ParBnConfig(scaling="learned"),
        "compacter": adapters.CompacterConfig(reduction_factor=4),
        "compacter-plus": adapters.CompacterPlusPlusConfig(reduction_factor=4),
        "phm": adapters.DoubleSeqBnConfig(
            reduction_factor=4,
            non_linearity="gelu",
            phm_layer=True,
            factorized_phm_W=False,
            shared_phm_rule=False,
        ),
        "prefix-flat": adapters.PrefixTuningConfig(flat=True, prefix_length=3),
        "prefix": adapters.PrefixTuningConfig(**prefix),
        "mam": adapters.ConfigUnion(adapters.PrefixTuningConfig(**prefix), adapters.ParBnConfig(scaling="learned")),
        "unipelt": adapters.UniPELTConfig(
            adapters.PrefixTuningConfig(**prefix), serial, adapters.LoRAConfig(r=2, alpha=2)
        ),
    }[method]


def main() -> None:
    import adapters
    from safetensors.torch import save_file
    from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration

    recorded = {}
    for family, method, _ in cases():
        model: Any = (
            T5ForConditionalGeneration(T5Config(**T5))
            if family == "t5"
            else BertForSequenceClassification(BertConfig(**BERT))
        )
        adapters.init(model)
        model.add_adapter(method, config=_config(method))
        model.train_adapter(method)
        model.double().eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(fill(name, parameter.shape))
        output = model(**inputs(family))
        output.loss.backward()
        recorded[f"{family}/{method}/logits"] = output.logits.detach().contiguous()
        for name, parameter in model.named_parameters():
            if f".{method}." in name and parameter.grad is not None:
                recorded[f"{family}/{method}/{name}"] = parameter.grad.float().contiguous()
    save_file(recorded, FILE, metadata={"adapters": adapters.__version__})
    print(f"{FILE}: {len(recorded)} tensors")


if __name__ == "__main__":
    main()
