"""Measures how good a mini ladder is: each backbone and its random control are tuned and scored on each task.

    python benchmarks/ladder.py run  [--names mini-t5-small ...] [--methods full lora] [--seeds 3] [--out FILE]
    python benchmarks/ladder.py show [--out FILE]

`run` appends one line of JSON for each cell to FILE and skips cells that FILE already contains; `show` prints the
tables of docs/mini-family.md. The training loop is deliberately simple and shares no code with `petscale.training`, so
that it checks independently what the shipped backbones know. All cells have one recipe: AdamW, batch 32, a constant
learning rate by method, and the score after the last step.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rouge_score.rouge_scorer import RougeScorer
from scipy import stats
from torch import nn
from transformers import AutoTokenizer, BertForSequenceClassification, T5ForConditionalGeneration

from petscale.mini.specs import RANDOM, SPECS
from petscale.mini.tasks import TASKS, rows

LADDERS = Path(__file__).parents[1] / "ladders"
BATCH, STEPS = 32, 200
RATES = {"full": 1e-3, "lora": 3e-3}
LORA_RANK, LORA_SCALE = 8, 2.0
TEMPLATES = {
    "mini-sentiment": "sentence: {text}",
    "mini-inference": "premise: {premise} [SEP] hypothesis: {hypothesis}",
    "mini-paraphrase": "sentence 1: {sentence1} [SEP] sentence 2: {sentence2}",
    "mini-qa": "question: {question}",
    "mini-summary": "summarize: {dialogue}",
}
LABELS = {
    "mini-sentiment": ("negative", "positive"),
    "mini-inference": ("entailment", "not_entailment"),
    "mini-paraphrase": ("not_equivalent", "equivalent"),
}
SEGMENTS = {
    "mini-sentiment": ("text",),
    "mini-inference": ("premise", "hypothesis"),
    "mini-paraphrase": ("sentence1", "sentence2"),
}


class LowRank(nn.Module):
    """W x + s B A x with B zero at the start (Hu et al. 2021, section 4.1)."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner
        self.a = nn.Parameter(torch.randn(LORA_RANK, inner.in_features) * inner.in_features**-0.5)
        self.b = nn.Parameter(torch.zeros(inner.out_features, LORA_RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + LORA_SCALE * (x @ self.a.T) @ self.b.T


def choose(model: nn.Module, method: str) -> list[nn.Parameter]:
    """Freeze all but what the method trains (and a classification head, if any)."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(method == "full" or name.startswith("classifier"))
    if method == "lora":
        for module in list(model.modules()):
            for name in ("q", "v", "query", "value"):
                if isinstance(getattr(module, name, None), nn.Linear):
                    setattr(module, name, LowRank(getattr(module, name)))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def target(task: str, row: dict[str, Any]) -> str:
    """What a T5 should write."""
    if task in LABELS:
        return LABELS[task][row["label"]]
    return row["answer"][0] if task == "mini-qa" else row["summary"]


def score(model: nn.Module, tokenizer: Any, task: str, data: list[dict[str, Any]], inputs: Any) -> list[float]:
    """Scores from 0 to 1: whether the more likely label is right, exact match (QA), or ROUGE-L (summary)."""
    if isinstance(model, BertForSequenceClassification):
        guesses = model(**inputs).logits.argmax(1).tolist()
        return [float(guess == row["label"]) for guess, row in zip(guesses, data, strict=True)]
    if task in LABELS:
        start = torch.zeros(len(data), 1, dtype=torch.long)
        words = tokenizer.convert_tokens_to_ids(list(LABELS[task]))
        guesses = model(**inputs, decoder_input_ids=start).logits[:, 0, words].argmax(1).tolist()
        return [float(guess == row["label"]) for guess, row in zip(guesses, data, strict=True)]
    written = model.generate(**inputs, max_new_tokens=14, do_sample=False)
    texts = tokenizer.batch_decode(written, skip_special_tokens=True)
    wanted = [target(task, row) for row in data]
    if task == "mini-qa":
        return [float(text == want) for text, want in zip(texts, wanted, strict=True)]
    scorer = RougeScorer(["rougeL"])
    return [scorer.score(want, text)["rougeL"].fmeasure for text, want in zip(texts, wanted, strict=True)]


def measure(name: str, task: str, method: str, seed: int, folder: Path) -> dict[str, Any]:
    """Tune the backbone in `folder` and score it on the test rows."""
    is_t5 = SPECS[name.removesuffix(RANDOM)].family == "t5"
    torch.manual_seed(1000 + seed)
    kind = T5ForConditionalGeneration if is_t5 else BertForSequenceClassification
    model, tokenizer = kind.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)

    def encode(data: list[dict[str, Any]]) -> Any:
        if is_t5:
            texts = ["Input: " + TEMPLATES[task].format(**row) + " Output: " for row in data]
            return tokenizer(texts, padding=True, return_tensors="pt")
        return tokenizer(*[[row[c] for row in data] for c in SEGMENTS[task]], padding=True, return_tensors="pt")

    train, test = rows(task, "train"), rows(task, "test")
    parameters = choose(model, method)
    optimizer = torch.optim.AdamW(parameters, RATES[method], weight_decay=0.0, fused=True)
    rng, order = random.Random(seed), list[int]()
    model.train()
    began = time.process_time()
    for _ in range(STEPS):
        if len(order) < BATCH:
            order = rng.sample(range(len(train)), len(train))
        chosen = [train[order.pop()] for _ in range(BATCH)]
        if is_t5:
            labels = tokenizer([target(task, row) for row in chosen], padding=True, return_tensors="pt")["input_ids"]
            labels = labels.masked_fill(labels == tokenizer.pad_token_id, -100)
        else:
            labels = torch.tensor([row["label"] for row in chosen])
        model(**encode(chosen), labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.process_time() - began
    model.eval()
    with torch.no_grad():
        scores = [
            value
            for start in range(0, len(test), 100)
            for value in score(model, tokenizer, task, test[start : start + 100], encode(test[start : start + 100]))
        ]
    return {
        "name": name,
        "task": task,
        "method": method,
        "seed": seed,
        "score": 100 * statistics.mean(scores),
        "step_ms": 1000 * seconds / STEPS,
    }


def run(names: list[str], methods: list[str], seeds: int, out: Path) -> None:
    """Measure every cell that `out` does not contain yet."""
    from petscale.pretraining.pretrain import build_backbone

    cells = read(out)
    done = {(c["name"], c["task"], c["method"], c["seed"]) for c in cells}
    with tempfile.TemporaryDirectory() as scratch, out.open("a") as file:
        for name in (variant for bare in names for variant in (bare, bare + RANDOM)):
            folder = LADDERS / name
            if name.endswith(RANDOM):
                folder = Path(scratch) / name
                build_backbone(name, folder)
            for task in TASKS if SPECS[name.removesuffix(RANDOM)].family == "t5" else LABELS:
                for method in methods:
                    for seed in range(seeds):
                        if (name, task, method, seed) not in done:
                            cell = measure(name, task, method, seed, folder)
                            file.write(json.dumps(cell) + "\n")
                            file.flush()
                            print(f"{name} {task} {method} {seed}: {cell['score']:.1f}", flush=True)


def read(out: Path) -> list[dict[str, Any]]:
    """The cells measured so far."""
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def interval(values: list[float]) -> float:
    """Half-width of the 95 % t interval of the mean."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5


def show(out: Path) -> None:
    """Print one table: held-out loss, scores with 95 % t intervals over seeds, and the paired difference."""
    cells = {(c["name"], c["task"], c["method"], c["seed"]): c for c in read(out)}
    print("| backbone | held-out loss | task | method | pre-trained | random | difference | ms a step |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, task, method in sorted({key[:3] for key in cells if not key[0].endswith(RANDOM)}, key=_order):
        seeds = sorted(key[3] for key in cells if key[:3] == (name, task, method))
        tuned = [cells[name, task, method, seed]["score"] for seed in seeds]
        pairs = [(name + RANDOM, task, method, seed) for seed in seeds]
        loss = json.loads((LADDERS / name / "training.json").read_text())["held_out_loss"]
        speed = statistics.median(cells[name, task, method, seed]["step_ms"] for seed in seeds)
        row = [name, f"{loss:.3f}", task, method, f"{statistics.mean(tuned):.1f} ± {interval(tuned):.1f}"]
        if all(pair in cells for pair in pairs):
            control = [cells[pair]["score"] for pair in pairs]
            gaps = [a - b for a, b in zip(tuned, control, strict=True)]
            row += [f"{statistics.mean(control):.1f} ± {interval(control):.1f}"]
            row += [f"{statistics.mean(gaps):+.1f} ± {interval(gaps):.1f}"]
        else:
            row += ["", ""]
        print("| " + " | ".join([*row, f"{speed:.0f}"]) + " |")


def _order(key: tuple[str, str, str]) -> tuple[int, int, str]:
    return list(SPECS).index(key[0]), TASKS.index(key[1]), key[2]


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("--names", nargs="+", default=list(SPECS), choices=list(SPECS))
    parser.add_argument("--methods", nargs="+", default=["full", "lora"], choices=list(RATES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/ladder.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "run":
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        run(arguments.names, arguments.methods, arguments.seeds, arguments.out)
    else:
        show(arguments.out)


if __name__ == "__main__":
    main()
