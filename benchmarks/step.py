"""Step time and peak memory of every method, as ratios to the floor (docs/mechanism.md, "Near the floor").

The floor is the frozen forward pass plus the backward pass of activations. Each variant has its own model beside that
of the floor. Their steps alternate, and the printed ratio is the median over pairs of steps, so that a busy machine
slows both. On CPU the time is the process's CPU time, which other processes do not change. A step of a variant is
forward, backward, AdamW and the assignment to the weights in the model; a step of the floor has no optimizer.

    python benchmarks/step.py --backbone google/t5-v1_1-small --batch 16 --length 128 --target 8 --threads 1

Peak memory counts the tensors of model, delta, optimizer and step; it comes from the allocator on CUDA and from the
profiler's allocation events on CPU. Where HF PEFT has a method, its own is measured too, with an equal count of
parameters; that needs the package `peft`.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration

from petscale.backbones.catalogue import lookup
from petscale.errors import BadInput
from petscale.families.shape import BackboneShape
from petscale.tuning.install import install
from petscale.tuning.registry import METHODS, make_plan, matched_budget

Batch = dict[str, torch.Tensor]
Step = Callable[[], None]
SELF_QV = ["self.q", "self.v"]
MATRICES = ["*.q", "*.k", "*.v", "*.o", "ffn.*"]


@dataclass(frozen=True)
class Variant:
    """One row: how to make a model trainable; returns the optimizer's parameters and what to do after a step."""

    name: str
    peer: str | None
    prepare: Callable[[nn.Module], tuple[nn.Module, Sequence[nn.Parameter], Step]]


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    shape = lookup(args.backbone).shape
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    batch = _batch(shape, args, device)
    floor = _model(shape, device, dtype)
    floor_step = _floor_step(floor, batch)
    floor_peak = _peak(floor, lambda: floor_step, device)
    print(
        f"{args.backbone}, {args.dtype} on {device.type}, {args.threads} thread(s), batch {args.batch}, "
        f"input {args.length}, target {args.target}, {args.rounds} rounds; floor peak {floor_peak / 2**20:.0f} MiB"
    )
    print(f"{'variant':<36}{'trained':>12}{'time':>8}{'spread':>16}{'memory':>8}")
    rows = []
    for variant in _variants(shape):
        if args.only and args.only not in variant.name:
            continue
        rows.append(_measure(variant, shape, batch, floor_step, floor_peak, args, device, dtype))
        row = rows[-1]
        spread = f"{row['time_low']:.3f}-{row['time_high']:.3f}"
        print(f"{row['name']:<36}{row['trained']:>12,}{row['time']:>8.3f}{spread:>16}{row['memory']:>8.3f}", flush=True)
    if args.json:
        with open(args.json, "w") as handle:
            json.dump({"arguments": vars(args), "torch": torch.__version__, "rows": rows}, handle, indent=1)


def _measure(
    variant: Variant,
    shape: BackboneShape,
    batch: Batch,
    floor_step: Step,
    floor_peak: int,
    args: argparse.Namespace,
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, Any]:
    model = _model(shape, device, dtype)
    trained = 0

    def prepared() -> Step:
        nonlocal trained
        module, parameters, after = variant.prepare(model)
        trained = sum(parameter.numel() for parameter in parameters)
        optimizer = torch.optim.AdamW(parameters, lr=1e-5) if parameters else None

        def step() -> None:
            module(**batch).loss.backward()
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            after()

        return step

    kept: list[Step] = []

    def prepare_and_keep() -> Step:
        kept.append(prepared())
        return kept[0]

    peak = _peak(model, prepare_and_keep, device)
    ratios = []
    kept[0]()
    for _ in range(args.rounds):
        base = _seconds(floor_step, device)
        ratios.append(_seconds(kept[0], device) / base)
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "name": variant.name,
        "peer": variant.peer,
        "trained": trained,
        "time": statistics.median(ratios),
        "time_low": quartiles[0],
        "time_high": quartiles[2],
        "memory": peak / floor_peak,
    }


def _variants(shape: BackboneShape) -> Iterator[Variant]:
    """Every method that has a count of its own, APET at two budgets, and what HF PEFT has of them."""
    named, peers = [], _peers(shape)
    for variant in _compared(shape):
        named.append(variant.name)
        yield variant
    for name, method in METHODS.items():
        if name in named or method.takes_budget or not _trains(shape, name):
            continue
        yield Variant(name, None, _ours(shape, name))
        if name in peers:
            yield Variant(f"PEFT {name}", name, peers[name])


def _trains(shape: BackboneShape, method: str) -> bool:
    """Whether the backbone's family can take the method, and it trains anything; the floor is the frozen model."""
    try:
        return make_plan(shape, method).trainable > 0
    except BadInput:
        return False


def _peers(shape: BackboneShape) -> dict[str, Any]:
    """HF PEFT's methods with the settings of Lialin et al. PEFT's prefix tuning of T5 is another method."""
    qv, every, scaled, norms = (_modules(shape, name) for name in ("lora-qv", "lora-all", "ia3", "ln-tuning"))
    inputs = [site.module for site in make_plan(shape, "ia3").sites if site.settings["at"] == "input"]
    return {
        "lora-qv": _peft("LoraConfig", qv, r=8, lora_alpha=8),
        "lora-all": _peft("LoraConfig", every, r=8, lora_alpha=8),
        "lokr": _peft("LoKrConfig", qv, r=8, alpha=8),
        "krona": _peft("LoKrConfig", qv, r=10**4, alpha=10**4),  # so large that PEFT takes whole factors
        "ia3": _peft("IA3Config", scaled, feedforward_modules=inputs),
        "ln-tuning": _peft("LNTuningConfig", norms),
    }


def _modules(shape: BackboneShape, method: str, options: dict[str, Any] | None = None) -> list[str]:
    return list(dict.fromkeys(site.module for site in make_plan(shape, method, options=options).sites))


def _compared(shape: BackboneShape) -> Iterator[Variant]:
    """The methods of Su et al., and APET with the counts of LoRA."""
    lora = matched_budget(shape, "lora")
    everywhere = make_plan(shape, "lora", options={"targets": MATRICES}).trainable
    yield Variant("full", None, _ours(shape, "full"))
    yield Variant("full by hand", "full", _by_hand)
    for method in ("bitfit", "bitfit-all", "adapter"):
        yield Variant(method, None, _ours(shape, method))
    yield Variant("prompt", None, _ours(shape, "prompt"))
    yield Variant("PEFT prompt", "prompt", _peft_prompt(shape))
    yield Variant("lora", None, _ours(shape, "lora"))
    yield Variant("PEFT lora", "lora", _peft_linear("LoraConfig", shape, SELF_QV, lora_alpha=16))
    for structure in ("adjacent", "discrete"):
        prepare = _ours(shape, f"apet-{structure}", lora, {"roles": SELF_QV})
        yield Variant(f"apet-{structure}, q and v", None, prepare)
    yield Variant("PEFT shira, q and v", "apet-discrete, q and v", _peft_linear("ShiraConfig", shape, SELF_QV))
    yield Variant("lora, all linear", None, _ours(shape, "lora", options={"targets": MATRICES}))
    yield Variant("PEFT lora, all linear", "lora, all linear", _peft_linear("LoraConfig", shape, MATRICES))
    for structure in ("adjacent", "discrete"):
        yield Variant(f"apet-{structure}, all linear", None, _ours(shape, f"apet-{structure}", everywhere))
    yield Variant("PEFT shira, all linear", "apet-discrete, all linear", _peft_linear("ShiraConfig", shape, MATRICES))


def _ours(shape: BackboneShape, method: str, budget: int | None = None, options: dict[str, Any] | None = None) -> Any:
    def prepare(model: nn.Module) -> tuple[nn.Module, Sequence[nn.Parameter], Step]:
        delta = install(model, make_plan(shape, method, budget=budget, options=options), seed=0)
        return model, list(delta.parameters()), delta.after_step

    return prepare


def _by_hand(model: nn.Module) -> tuple[nn.Module, Sequence[nn.Parameter], Step]:
    model.requires_grad_(True)
    return model, list(model.parameters()), lambda: None


def _peft_linear(config: str, shape: BackboneShape, roles: list[str], **settings: Any) -> Any:
    return _peft(config, _modules(shape, "lora", {"targets": roles}), r=8, **settings)


def _peft(config: str, modules: list[str], **settings: Any) -> Any:
    def prepare(model: nn.Module) -> tuple[nn.Module, Sequence[nn.Parameter], Step]:
        import peft

        return _wrapped(model, getattr(peft, config)(target_modules=modules, **settings))

    return prepare


def _peft_prompt(shape: BackboneShape) -> Any:
    def prepare(model: nn.Module) -> tuple[nn.Module, Sequence[nn.Parameter], Step]:
        import peft

        task = "SEQ_2_SEQ_LM" if shape.family == "t5" else "SEQ_CLS"
        # One submodule, because PEFT's default of two for T5 allocates twice as many tokens and uses half of them.
        settings = {"num_transformer_submodules": 1, "token_dim": shape.d_model}
        return _wrapped(model, peft.PromptTuningConfig(task_type=task, num_virtual_tokens=100, **settings))

    return prepare


def _wrapped(model: nn.Module, config: Any) -> tuple[nn.Module, Sequence[nn.Parameter], Step]:
    import peft

    wrapped = peft.get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if "classifier" in name:
            parameter.requires_grad_(False)
    return wrapped, [p for p in wrapped.parameters() if p.requires_grad], lambda: None


def _model(shape: BackboneShape, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A randomly initialised, frozen backbone without dropout, the same for all variants; embeddings need gradients."""
    torch.manual_seed(0)
    if shape.family == "t5":
        config = T5Config(
            vocab_size=shape.vocab,
            d_model=shape.d_model,
            d_ff=shape.d_ff,
            d_kv=shape.d_kv,
            num_heads=shape.heads,
            num_layers=shape.layers,
            num_decoder_layers=shape.decoder_layers,
            relative_attention_num_buckets=shape.relative_buckets,
            feed_forward_proj="gated-gelu" if shape.gated else "relu",
            dropout_rate=0.0,
            decoder_start_token_id=0,
        )
        model: nn.Module = T5ForConditionalGeneration(config)
        if not shape.tied:  # as transformers 5 does if a checkpoint has both matrices
            model.lm_head.weight = nn.Parameter(torch.randn(shape.vocab, shape.d_model) * shape.d_model**-0.5)
    else:
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=shape.vocab,
                hidden_size=shape.d_model,
                intermediate_size=shape.d_ff,
                num_attention_heads=shape.heads,
                num_hidden_layers=shape.layers,
                max_position_embeddings=shape.max_positions,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
    return model.to(device, dtype).requires_grad_(False).train()


def _floor_step(model: nn.Module, batch: Batch) -> Step:
    """A step with frozen weights; the embeddings' outputs need a gradient, so that backward visits every activation."""
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.embedding_dim > 64:
            module.register_forward_hook(lambda _module, _args, output: output.requires_grad_())
    return lambda: model(**batch).loss.backward()


def _batch(shape: BackboneShape, args: argparse.Namespace, device: torch.device) -> Batch:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, shape.vocab, (args.batch, args.length), generator=generator)
    size = (args.batch, args.target) if shape.family == "t5" else (args.batch,)
    labels = torch.randint(0, 2, size, generator=generator)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return {name: value.to(device) for name, value in batch.items()}


def _seconds(step: Step, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
        clock = time.perf_counter
    else:
        clock = time.process_time
    started = clock()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def _peak(model: nn.Module, prepare: Callable[[], Step], device: torch.device) -> int:
    """Peak bytes during preparation and two steps, including the model."""
    gc.collect()
    if device.type == "cuda":
        others = torch.cuda.memory_allocated() - _bytes(model)
        torch.cuda.reset_peak_memory_stats()
        step = prepare()
        step()
        step()
        return torch.cuda.max_memory_allocated() - others
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        step = prepare()
        step()
        step()
    held = highest = 0
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return _bytes(model) + highest


def _bytes(model: nn.Module) -> int:
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in model.parameters()}
    return sum(storages.values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="google/t5-v1_1-small", help="a name of the catalogue")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=128, help="tokens of the input")
    parser.add_argument("--target", type=int, default=8, help="tokens of the target (T5)")
    parser.add_argument("--rounds", type=int, default=15, help="pairs of steps a variant")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--only", help="variants whose name contains this")
    parser.add_argument("--json", help="also write the rows here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
