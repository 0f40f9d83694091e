"""A measurement takes the steps and answers of cells, counts what they compute, and leaves a whole record or none."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from families.toy import BagOfWords, Toy
from petscale.artefacts.seal import SEAL
from petscale.backbones.catalogue import lookup
from petscale.cells.efficiency import EfficiencyRecord, read_efficiency
from petscale.cli.main import main
from petscale.data.batches import epoch_batches
from petscale.data.tokens import Examples, load_tokens
from petscale.errors import BadInput, Exit, OutOfMemory
from petscale.families.registry import registered
from petscale.families.shape import BackboneShape
from petscale.study.measurement import Measurement, code_versions, steps_in_all
from petscale.training import measure as module
from petscale.training import meters
from petscale.training.measure import measure
from petscale.training.telemetry import peak_memory, reset_peak_memory
from petscale.tuning.install import install
from petscale.tuning.registry import make_plan
from training.bench import BACKBONES, Bench, make_cell

WARM, STEPS = 1, 4
OPTIONS: dict[str, dict[str, Any]] = {"prompt": {"tokens": 5}, "adapter": {"bottleneck": 4}}


def planned(family: str, method: str, **changes: Any) -> Measurement:
    steps = steps_in_all(WARM, STEPS)
    cell = replace(make_cell(family, "lora"), method=method, options=OPTIONS.get(method, {}), steps=steps)
    fields = {"micro_batch": None, "device": "a machine", "versions": code_versions(method, family), **changes}
    return Measurement(replace(cell, evaluate_every=steps), WARM, STEPS, **fields)


@pytest.fixture(scope="module")
def measured(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Records by family and method; each is measured once."""
    folder, found = tmp_path_factory.mktemp("measured"), {}

    def record(family: str, method: str) -> EfficiencyRecord:
        if (family, method) not in found:
            path = folder / f"{family}-{method}.json"
            measure(planned(family, method), bench.inputs[family], path)
            found[family, method] = read_efficiency(path)
            assert SEAL in json.loads(path.read_bytes())
        return found[family, method]

    return record


def endless(examples: Examples, batch_size: int, seed: int) -> Iterator[list[int]]:
    for epoch in range(100):
        for rows in epoch_batches(examples.lengths, batch_size, seed, epoch):
            yield rows.tolist()


def test_a_record_is_complete_and_counts_the_tokens_of_the_measured_steps(bench: Bench, measured: Any) -> None:
    record, cell = measured("t5", "lora"), planned("t5", "lora").cell
    tokens = load_tokens(bench.inputs["t5"].tokens)
    train, test = tokens.split("train"), tokens.split("test")
    assert train.target is not None
    sizes = [sum(int(train.lengths[row] + train.target.lengths[row]) for row in rows) for rows in islice(
        endless(train, cell.batch_size, cell.seed), steps_in_all(WARM, STEPS)
    )]  # fmt: skip
    assert record.training.tokens == sum(sizes[WARM : WARM + STEPS])
    assert record.work.tokens == sizes[-1]
    read = [int(test.lengths[rows].sum()) for rows in islice(endless(test, cell.batch_size, cell.seed), WARM + STEPS)]
    assert record.inference.tokens > sum(read[WARM:])  # and what was written
    assert record.merged is not None
    for speed in (record.training, record.inference, record.merged.speed):
        assert 0 < speed.low <= speed.median <= speed.high
        assert speed.steps == STEPS and speed.seconds > 0 and speed.cpu_s > 0
        assert speed.energy_j is None, "a CPU has no meter"
    assert record.sizes.trainable == 3_072 and record.sizes.total == 66_848
    assert record.memory_by == "resident set above that before the model"
    assert set(record.hashes) == {"data", "tokens", "backbone", "code"}
    assert Measurement.from_spec(record.spec) == planned("t5", "lora")
    assert record.began < record.ended


def test_the_merged_model_is_measured_only_where_the_merge_is_exact(measured: Any) -> None:
    for family, method in (("t5", "lora"), ("bert", "full")):
        record = measured(family, method)
        assert record.merged is not None and record.not_merged is None
        assert record.merged.difference < 1e-5
    for family, method in (("t5", "prompt"), ("bert", "adapter")):
        record = measured(family, method)
        assert record.merged is None
        assert "cannot be merged exactly" in record.not_merged


def test_the_formula_is_that_of_the_cost_model(measured: Any) -> None:
    """4 FLOP a parameter and token, 6 for full fine-tuning; the vocabulary matrix that is looked up costs none."""
    for family, method, each in (("t5", "lora", 4), ("bert", "full", 6)):
        record = measured(family, method)
        shape = lookup(BACKBONES[family]).shape
        body = record.sizes.total - shape.vocab * shape.d_model
        assert record.work.formula == each * body * record.work.tokens


def test_a_delta_s_bytes_are_four_a_scalar_and_a_header(measured: Any) -> None:
    for family, method in (("t5", "lora"), ("t5", "prompt")):
        sizes = measured(family, method).sizes
        assert 0 < sizes.stored_bytes - 4 * sizes.trainable < 20_000
    assert measured("t5", "lora").sizes.deployed == 0
    assert measured("t5", "prompt").sizes.deployed == measured("t5", "prompt").sizes.trainable


@pytest.mark.parametrize("trains_head", [True, False])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_counted_products_equal_those_of_a_small_linear_model_by_hand(method: str, trains_head: bool) -> None:
    """One layer of width d, a head of c units and n examples; LoRA of rank r beside the layer."""
    n, d, c, r, vocab = 6, 8, 2, 3, 11
    shape = BackboneShape("toy", d, d, heads=1, d_kv=d, layers=1, decoder_layers=0, vocab=vocab)
    with registered(Toy()):
        model = BagOfWords({"words": vocab, "width": d}, c)
        options = {"rank": r, "targets": ["ffn.down"]} if method == "lora" else {}
        delta = install(model, make_plan(shape, method, options=options), seed=0)
        model.classifier.requires_grad_(trains_head)
        optimizer = torch.optim.AdamW([*delta.parameters(), *model.classifier.parameters()])

        def step() -> None:
            ids = torch.arange(n * 4).reshape(n, 4) % vocab
            model(ids, torch.ones_like(ids), torch.zeros_like(ids), labels=torch.arange(n) % c).loss.backward()
            optimizer.step()

        counted = meters.counted_flop(step)
    product = 2 * n * d
    head = product * c * (3 if trains_head else 2)  # forward, gradient of its input, and of its weight
    layer = product * d * (3 if method == "full" else 1)  # words are trained too, so that the layer's input needs one
    branch = product * r * 5 if method == "lora" else 0  # the first factor's input needs no gradient
    assert counted == layer + branch + head


def test_attention_is_counted_as_its_matrix_products() -> None:
    """Fused kernels have no formula on a CPU: two products forward and four backward, each of 2 h q k d FLOP."""
    heads, queries, keys, width = 2, 5, 7, 4
    query = torch.randn(1, heads, queries, width, requires_grad=True)
    key, value = (torch.randn(1, heads, keys, width, requires_grad=True) for _ in range(2))

    def step() -> None:
        nn.functional.scaled_dot_product_attention(query, key, value).sum().backward()

    assert meters.counted_flop(step) == 6 * 2 * heads * queries * keys * width


def test_quartiles_are_those_of_the_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Steps of 1, 2, 4, 4 and 5 s with 10, 40, 120, 160 and 250 tokens: 10, 20, 30, 40 and 50 tokens a second."""
    moments, tokens, cpu = iter([0.0, 1.0, 3.0, 7.0, 11.0, 16.0]), iter([10, 40, 120, 160, 250]), iter([2.0, 10.0])
    monkeypatch.setattr(meters.time, "perf_counter", lambda: next(moments))
    monkeypatch.setattr(meters.time, "process_time", lambda: next(cpu))
    speed = meters.speed_of(lambda: next(tokens), 5, torch.device("cpu"), tmp_path)
    assert (speed.low, speed.median, speed.high) == (20.0, 30.0, 40.0)
    assert (speed.tokens, speed.seconds, speed.cpu_s, speed.steps) == (580, 16.0, 8.0, 5)


def test_a_peak_can_begin_anew() -> None:
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this kernel keeps the peak of a process")
    device, size = torch.device("cpu"), 200 * 2**20
    large = torch.ones(size // 4)
    peak = peak_memory(device)
    del large
    reset_peak_memory(device)
    assert peak_memory(device) < peak - size / 2


def test_a_killed_measurement_leaves_no_record(bench: Bench, tmp_path: Path) -> None:
    """It is killed after its training steps, in another process."""
    out = tmp_path / "measurements" / "killed.json"
    child = os.fork()
    if child == 0:
        module._inference = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        measure(planned("bert", "full"), bench.inputs["bert"], out)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert not list(tmp_path.rglob("*"))


def test_what_cannot_be_measured_says_so_in_one_line(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = planned("bert", "full", versions="measure 0")
    with pytest.raises(BadInput, match="planned for other code"):
        measure(other, bench.inputs["bert"], tmp_path / "record.json")

    def fail(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(module, "prepare_cell", fail)
    with pytest.raises(OutOfMemory, match="20 GiB"):
        measure(planned("bert", "full"), bench.inputs["bert"], tmp_path / "record.json")
    inputs = bench.inputs["bert"]
    words = ["measure", "another/path", "--spec", json.dumps(planned("bert", "full").spec())]
    code = main([*words, "--tokens", str(inputs.tokens / "tokens.json"), "--backbone", str(inputs.backbone)])
    assert code == Exit.BAD_INPUT
    assert "the specification is that of" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
def test_on_a_gpu_memory_is_the_allocator_s_and_energy_the_sensor_s(bench: Bench, tmp_path: Path) -> None:
    record = measure(planned("t5", "lora"), bench.inputs["t5"], tmp_path / "record.json")
    assert record.memory_by == "device allocations"
    assert record.peak_memory > 4 * record.sizes.total
    assert record.device == torch.cuda.get_device_name()
    assert 0 < record.training.low <= record.training.median <= record.training.high
