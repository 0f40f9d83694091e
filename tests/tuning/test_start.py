"""The initial values of a delta have their distribution, and a seed gives exactly the same values."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest
from torch import Tensor

from petscale.tuning.install import install
from petscale.tuning.plan import Plan
from petscale.tuning.registry import make_plan

from .tiny import TINY, Tiny, small_plan, tiny_bert, tiny_t5

RARE = 1e-6  # both tails together; seeds are fixed, so a test that passes once passes always


def starts(tiny: Tiny, plan: Plan, seed: int = 0) -> dict[str, Tensor]:
    delta = install(tiny.model, plan, seed=seed)
    state = delta.state()
    delta.remove()
    return state


def stream(key: str, seed: int) -> np.random.Generator:
    """The documented stream of a tensor: PCG64 on the first 16 bytes of a hash of seed and name."""
    digest = hashlib.sha256(f"petscale-start-1/{seed}/{key}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def pooled(tiny: Tiny, plan: Plan, ending: str, seeds: int = 20) -> Tensor:
    """All values of one kind of tensor, over several seeds."""
    states = [starts(tiny, plan, seed) for seed in range(seeds)]
    return torch.cat([v.flatten() for state in states for key, v in state.items() if key.endswith(ending)])


@pytest.mark.parametrize("factor", ["/down", "/up"])
def test_adapters_start_with_the_released_code_s_deviation(factor: str) -> None:
    """Su et al.'s code draws both projections from a normal distribution of standard deviation 0.01, centred on 0.

    (n - 1) s^2 / 0.01^2 of a normal sample has a chi-square distribution with n - 1 degrees of freedom.
    """
    tiny = tiny_bert()
    values = pooled(tiny, small_plan(tiny.shape, "adapter"), factor).double().numpy()
    n = len(values)
    assert n > 3_000
    statistic = (n - 1) * values.var(ddof=1) / 0.01**2
    assert chi2.ppf(RARE / 2, n - 1) < statistic < chi2.isf(RARE / 2, n - 1)
    assert abs(values.mean()) < 5 * 0.01 / math.sqrt(n)
    assert kstest(values, "norm", (0, 0.01)).pvalue > RARE


def test_lora_starts_as_torch_s_linear_layers_do() -> None:
    """Hu et al.'s code: kaiming_uniform(a = sqrt 5) for the factor that reads the input, zeros for the other."""
    tiny = tiny_t5()
    plan = small_plan(tiny.shape, "lora")
    ours = pooled(tiny, plan, "/down")
    width = tiny.shape.d_model
    theirs = torch.empty(len(ours) // width, width)
    torch.nn.init.kaiming_uniform_(theirs, a=math.sqrt(5), generator=torch.Generator().manual_seed(0))
    assert len(ours) > 10_000
    assert float(ours.abs().max()) == pytest.approx(float(theirs.abs().max()), rel=1e-2)
    assert kstest(ours.numpy(), theirs.flatten().numpy()).pvalue > RARE
    assert not pooled(tiny, plan, "/up", seeds=1).any()


def test_a_masked_factor_counts_the_entries_that_feed_an_output() -> None:
    """The fan-in of a rank that holds k entries is k, not the width of the layer."""
    tiny = tiny_t5()
    options = {"operations": ["concat"], "rank": 2}
    plan = make_plan(tiny.shape, "apet-discrete", budget=200, mask_seed=1, options=options)
    downs = [(site.key(tensor), tensor) for site in plan.sites for tensor in site.tensors if tensor.key == "down"]
    fan_ins = {quota for _, tensor in downs for quota in tensor.mask.quotas}
    assert len(fan_ins) > 1
    ratios = []
    for seed in range(20):
        state = starts(tiny, plan, seed)
        for key, tensor in downs:
            lanes = np.split(state[key].numpy(), np.cumsum(tensor.mask.quotas)[:-1])
            ratios += [lane * math.sqrt(len(lane)) for lane in lanes]
    values = np.concatenate(ratios)
    assert np.abs(values).max() <= 1
    assert kstest(values, "uniform", (-1, 2)).pvalue > RARE


@pytest.mark.parametrize("family", list(TINY))
def test_a_seed_gives_recorded_values(family: str) -> None:
    """Value by value from streams made here: a saved cell must start alike on every machine and in every version."""
    tiny = TINY[family]()
    adapter = starts(tiny, small_plan(tiny.shape, "adapter"), seed=7)
    for key, value in adapter.items():
        drawn = 0.0 if key.endswith(".bias") else 0.01 * stream(key, 7).standard_normal(value.numel())
        np.testing.assert_array_equal(value.flatten().numpy(), np.float32(drawn))
    lora = starts(tiny, small_plan(tiny.shape, "lora"), seed=7)
    for key, value in lora.items():
        drawn = 0.0
        if key.endswith("/down"):
            drawn = stream(key, 7).uniform(-1, 1, value.numel()) / math.sqrt(value.shape[1])
        np.testing.assert_array_equal(value.flatten().numpy(), np.float32(drawn))


def test_the_values_of_one_tensor_written_down() -> None:
    """What numpy promises of PCG64, equal bits in every version, as numbers."""
    tiny = tiny_bert()
    key = "plug:bert.encoder.layer.0.output/down"
    values = starts(tiny, small_plan(tiny.shape, "adapter"), seed=1)[key].flatten()[:3]
    assert values.tolist() == pytest.approx([-9.20662759e-5, 9.7910024543e-3, -1.5692036305e-3], rel=1e-6)


@pytest.mark.parametrize(("tokens", "repeats"), [(4, False), (60, False), (61, True)])
def test_soft_tokens_start_as_rows_of_the_whole_vocabulary(tokens: int, repeats: bool) -> None:
    """Lester et al. 2021: the sampled vocabulary. No row twice as long as there are enough of them."""
    tiny = tiny_t5()
    plan = small_plan(tiny.shape, "prompt", options={"tokens": tokens})
    table = tiny.model.get_input_embeddings().weight.detach()
    assert len(table) == 60
    ((key, value),) = starts(tiny, plan, seed=3).items()
    rows = stream(key, 3).choice(60, size=tokens, replace=repeats)
    assert torch.equal(value, table[torch.from_numpy(rows)])
    if not repeats:
        assert len(set(rows.tolist())) == tokens
