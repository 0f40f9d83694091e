"""A delta can be started, trained, written, saved, loaded, used to generate, merged and removed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from petscale.errors import BadInput
from petscale.tuning.files import load_delta, load_extra, save_delta
from petscale.tuning.install import install
from petscale.tuning.registry import METHODS, make_plan

from .tiny import TINY, Tiny, methods_for, randomise, small_plan, tiny_bert, tiny_t5


def _cases(families: tuple[str, ...] = ("t5", "bert")) -> list[tuple[str, str]]:
    return [(family, method) for family in families for method in methods_for(TINY[family]().shape)]


@pytest.mark.parametrize(("family", "method"), _cases())
def test_identity_at_start_where_the_method_has_it(family: str, method: str) -> None:
    tiny = TINY[family]()
    before = tiny.logits()
    delta = install(tiny.model, small_plan(tiny.shape, method), seed=0)
    after = tiny.logits()
    assert torch.equal(before, after) == METHODS[method].identity_at_start
    assert delta.changed() == 0


@pytest.mark.parametrize(("family", "method"), _cases(("t5", "t5-tied", "bert")))
def test_training_moves_only_the_mask_and_removal_restores_every_bit(family: str, method: str) -> None:
    tiny = TINY[family]()
    state = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    plan = small_plan(tiny.shape, method)
    delta = install(tiny.model, plan, seed=0)
    assert sum(parameter.numel() for parameter in delta.parameters()) == plan.trainable
    if plan.trainable:
        optimizer = torch.optim.AdamW(delta.parameters(), lr=1e-2)
        for _ in range(2):
            tiny.model(**tiny.batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            delta.after_step()
        assert delta.changed() > plan.effective // 2
    added = [site for site in plan.sites if site.operation == "add"]
    allowed = {f"{site.module}.{site.settings['tensor']}": site for site in added}
    for name, value in _unique(tiny.model).items():
        moved = (value != state[name]).flatten().nonzero().flatten().tolist()
        site = allowed.get(name)
        entries = [] if site is None else site.tensors[0].mask.indices(site.tensors[0].shape, site.key(site.tensors[0]))
        assert set(moved) <= set(map(int, entries)), name
    delta.remove()
    assert all(torch.equal(value, state[name]) for name, value in tiny.model.state_dict().items())
    assert not any("forward" in module.__dict__ for module in tiny.model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in tiny.model.modules())


def _unique(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters by their first name: tied ones once, under the name that plans use."""
    return {name: value.detach() for name, value in model.named_parameters()}


def test_the_start_depends_on_the_seed_and_on_nothing_else(make_tiny: Callable[..., Tiny]) -> None:
    """Guards against starts that move with torch's global generator or with the other sites of a plan."""
    plan = small_plan(make_tiny().shape, "lora")
    states = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        tiny = make_tiny()
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        states.append(install(tiny.model, plan, seed=seed).state())
        assert torch.equal(before, torch.get_rng_state())
    down = next(key for key in states[0] if key.endswith("/down"))
    assert torch.equal(states[0][down], states[1][down])
    assert not torch.equal(states[0][down], states[2][down])


@pytest.mark.parametrize(("family", "method"), _cases())
def test_merged_equals_unmerged(family: str, method: str) -> None:
    tiny = TINY[family]()
    plan = small_plan(tiny.shape, method)
    delta = install(tiny.model, plan, seed=0)
    randomise(delta)
    before = tiny.logits()
    kept = {site.operation for site in plan.sites} - {"add", "concat", "scale"}
    if kept or any("gate" in site.settings for site in plan.sites):
        with pytest.raises(BadInput, match="cannot be merged exactly"):
            delta.merge()
        assert torch.equal(tiny.logits(), before)
    else:
        delta.merge()
        assert not any(module._forward_hooks for module in tiny.model.modules())
        torch.testing.assert_close(tiny.logits(), before, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("method", methods_for(tiny_t5().shape))
@pytest.mark.parametrize("beams", [1, 2])
def test_generation_with_cache_equals_without(method: str, beams: int) -> None:
    """Regression guard: the released LoRA adds the cached values again at every decoding step."""
    tiny = tiny_t5()
    delta = install(tiny.model, small_plan(tiny.shape, method), seed=0)
    randomise(delta, 0.2)
    cached, whole = (
        tiny.model.generate(
            **tiny.inputs,
            max_new_tokens=9,
            num_beams=beams,
            use_cache=use_cache,
            output_scores=True,
            return_dict_in_generate=True,
        )
        for use_cache in (True, False)
    )
    assert torch.equal(cached.sequences, whole.sequences)
    for one, other in zip(cached.scores, whole.scores, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    if beams == 1:
        again = tiny.model(**tiny.inputs, decoder_input_ids=cached.sequences[:, :-1]).logits.argmax(-1)
        assert torch.equal(again, cached.sequences[:, 1:])


LOAD_AND_SCORE = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tuning.tiny import TINY
from petscale.tuning.files import load_delta
from petscale.tuning.install import install
for family, method in (pair.split("=") for pair in sys.argv[3:]):
    tiny = TINY[family]()
    plan, tensors = load_delta(Path(sys.argv[2]) / f"{family}-{method}.safetensors")
    delta = install(tiny.model, plan, seed=99)
    delta.load_state(tensors)
    torch.save(tiny.logits(), Path(sys.argv[2]) / f"{family}-{method}.pt")
"""


def test_saved_deltas_give_equal_logits_in_a_new_process(tmp_path: Path) -> None:
    expected = {}
    for family, method in _cases():
        tiny = TINY[family]()
        delta = install(tiny.model, small_plan(tiny.shape, method), seed=0)
        randomise(delta)
        save_delta(tmp_path / f"{family}-{method}.safetensors", delta, metadata={"cell": "x"})
        expected[f"{family}-{method}"] = tiny.logits()
    tests = str(Path(__file__).resolve().parent.parent)
    pairs = [f"{family}={method}" for family, method in _cases()]
    subprocess.run([sys.executable, "-c", LOAD_AND_SCORE, tests, str(tmp_path), *pairs], check=True)
    for name, logits in expected.items():
        assert torch.equal(torch.load(tmp_path / f"{name}.pt"), logits), name


def test_a_file_holds_the_delta_the_extras_and_no_more(tmp_path: Path) -> None:
    tiny = tiny_bert()
    delta = install(tiny.model, small_plan(tiny.shape, "apet-discrete"), seed=0)
    file = tmp_path / "delta.safetensors"
    save_delta(file, delta, extra_tensors={"head/weight": torch.ones(3, 16)})
    first = file.read_bytes()
    save_delta(file, delta, extra_tensors={"head/weight": torch.ones(3, 16)})
    assert file.read_bytes() == first
    plan, tensors = load_delta(file)
    assert plan == delta.plan
    assert plan.digest == delta.plan.digest
    assert sum(tensor.numel() for tensor in tensors.values()) == plan.trainable == 150
    assert list(load_extra(file)) == ["head/weight"]


def test_bad_files_and_states_are_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "delta.safetensors"
    file.write_bytes(b"not a delta")
    with pytest.raises(BadInput, match="not a readable delta"):
        load_delta(file)
    tiny = tiny_bert()
    delta = install(tiny.model, small_plan(tiny.shape, "lora"), seed=0)
    with pytest.raises(BadInput, match="missing or does not belong"):
        delta.load_state({})
    with pytest.raises(BadInput, match="has shape"):
        delta.load_state({key: value[:1] for key, value in delta.state().items()})


def test_a_plan_for_another_backbone_is_refused() -> None:
    bert, t5 = tiny_bert(), tiny_t5()
    with pytest.raises(BadInput, match="another backbone"):
        install(bert.model, small_plan(t5.shape, "lora"), seed=0)
    with pytest.raises(BadInput, match="tied"):
        install(tiny_t5(tied=True).model, make_plan(t5.shape, "apet-discrete", budget=9), seed=0)


@pytest.mark.parametrize("method", ["apet-adjacent", "apet-discrete", "bitfit", "full"])
def test_bfloat16_weights_follow_their_float32_masters(method: str) -> None:
    """1,000 steps at 5e-5: accumulated in bfloat16 each step would round away."""
    tiny = tiny_bert(torch.bfloat16)
    original = {name: value.detach().clone() for name, value in tiny.model.named_parameters()}
    delta = install(tiny.model, small_plan(tiny.shape, method), seed=0)
    optimizer = torch.optim.AdamW(delta.parameters(), lr=5e-5, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(1000):
        for parameter in delta.parameters():
            parameter.grad = 1 + 0.1 * torch.randn(parameter.shape, generator=generator)
        optimizer.step()
        delta.after_step()
    masters = dict(delta.named_parameters())
    current = dict(tiny.model.named_parameters())
    for site in delta.plan.sites:
        name = f"{site.module}.{site.settings['tensor']}"
        (tensor,) = site.tensors
        master, start = masters[site.key(tensor)].detach(), original[name].float().flatten()
        positions = torch.from_numpy(tensor.mask.indices(tensor.shape, site.key(tensor)))
        expected = start.clone()
        if tensor.start == "origin":
            expected = master.flatten()
            moved = master.flatten() - start
        else:
            expected[positions] += master
            moved = master
        assert torch.equal(current[name].detach().flatten(), expected.to(torch.bfloat16)), name
        assert (moved.abs() > 0.03).all()  # 1,000 steps of 5e-5 arrived
    delta.remove()
    assert all(torch.equal(value, original[name]) for name, value in tiny.model.named_parameters())


@pytest.mark.parametrize("autocast", [False, True], ids=["", "autocast"])
@pytest.mark.parametrize(("family", "method"), _cases())
def test_bfloat16_backbones_train_float32_masters(family: str, method: str, autocast: bool) -> None:
    """A step in bfloat16, with and without autocast; gradients arrive in float32 and point where float32's do."""
    reference, tiny = TINY[family](), TINY[family](torch.bfloat16)
    plan = small_plan(tiny.shape, method)
    deltas = [install(one.model, plan, seed=0) for one in (reference, tiny)]
    for delta in deltas:
        randomise(delta)
    if not plan.trainable:
        return
    reference.model(**reference.batch).loss.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = tiny.model(**tiny.batch).loss
    loss.backward()
    expected, found = (
        torch.cat([p.grad.flatten() for p in delta.parameters() if p.grad is not None]) for delta in deltas
    )
    assert found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 0.98
