"""Token arrays equal hand-written ids and those of Hugging Face's tokenizers, with the real vocabularies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from transformers import PreTrainedTokenizerFast

from petscale.data.decode import load_decoder
from petscale.data.prepare import prepare
from petscale.data.sources import MiniSource, make_source
from petscale.data.tokenize import tokenize
from petscale.data.tokens import MANIFEST, TokenSet, load_tokens
from petscale.errors import BadInput
from petscale.families.registry import FAMILIES
from petscale.tasks import TASKS, Task

from .conftest import Write, reviews

PUBLISHED = [task.name for task in TASKS.values() if task.source == "hub"]
CLASSIFICATION = [name for name in PUBLISHED if TASKS[name].has_labels]

# The labels in the real vocabulary of T5 v1.1, `</s>` (1) once.
LABEL_TOKENS = {
    "sst2": [[2841, 1], [1465, 1]],
    "imdb": [[2841, 1], [1465, 1]],
    "rotten_tomatoes": [[2841, 1], [1465, 1]],
    "mnli": [[3, 35, 5756, 297, 1], [7163, 1], [27252, 1]],
    "qnli": [[3, 35, 5756, 297, 1], [59, 834, 35, 5756, 297, 1]],
    "rte": [[3, 35, 5756, 297, 1], [59, 834, 35, 5756, 297, 1]],
    "mrpc": [[59, 834, 15, 1169, 15592, 1], [7072, 1]],
    "qqp": [[59, 834, 26, 413, 26221, 1], [19197, 1]],
    "boolq": [[6136, 1], [1176, 1]],
    "copa": [[1160, 536, 1], [1160, 357, 1]],
}
DIGIT_TOKENS = {"0": [3, 632, 1], "1": [209, 1], "2": [204, 1]}


@pytest.fixture(scope="module")
def t5(shared: Path) -> Path:
    return shared / "tokenizers" / "tokenizer-t5"


@pytest.fixture(scope="module")
def bert(shared: Path) -> Path:
    return shared / "tokenizers" / "tokenizer-bert-uncased"


@pytest.fixture(scope="module")
def prepared(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real slices of every task, prepared."""
    folder = tmp_path_factory.mktemp("prepared")
    for name in PUBLISHED:
        source = make_source(TASKS[name], "local", folder=shared / "data", name="slices")
        prepare(TASKS[name], source, folder / name, dev_size=8, max_train=16, max_test=16)
    return folder


def _columns(folder: Path, split: str) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pyarrow.parquet.read_table(folder / f"{split}.parquet").to_pydict()
    return columns


@pytest.mark.parametrize("name", PUBLISHED)
def test_t5_agrees_with_the_hugging_face_tokenizer(name: str, prepared: Path, t5: Path, tmp_path: Path) -> None:
    task = TASKS[name]
    tokenize(prepared / name, task, t5, FAMILIES["t5"], tmp_path, labels="words")
    tokens = load_tokens(tmp_path)
    reference = PreTrainedTokenizerFast(tokenizer_file=str(t5 / "tokenizer.json"))
    assert tokens.splits == ["dev", "test", "train"]
    for split in tokens.splits:
        examples, columns = tokens.split(split), _columns(prepared / name, split)
        assert examples.target is not None
        sources = reference(columns["source"])["input_ids"]
        fitting = [index for index, source in enumerate(sources) if len(source) <= task.source_length]
        assert tokens.manifest["cut"][split]["source"] == len(sources) - len(fitting)
        targets = reference(columns["target"], truncation=True, max_length=task.target_length)["input_ids"]
        found = [examples.source[index].tolist() for index in range(len(examples))]
        assert [found[index] for index in fitting] == [sources[index] for index in fitting]
        assert all(len(found[index]) == min(len(sources[index]), task.source_length) for index in range(len(found)))
        assert [examples.target[index].tolist() for index in range(len(examples))] == targets
        assert all(sequence.count(1) == 1 and sequence[-1] == 1 for sequence in [*found, *targets])
        assert examples.ids == columns["id"]
        assert [examples.references(index) for index in range(len(examples))] == columns["references"]
        assert examples.label.tolist() == columns["label"]


def test_a_long_source_of_one_text_and_a_long_target_are_cut_at_their_ends(
    prepared: Path, t5: Path, tmp_path: Path
) -> None:
    """As the released code truncates, `Output:` included; one end of sequence stays, and the manifest counts both."""
    tokenize(prepared / "multi_news", TASKS["multi_news"], t5, FAMILIES["t5"], tmp_path, labels="words")
    tokens = load_tokens(tmp_path)
    reference = PreTrainedTokenizerFast(tokenizer_file=str(t5 / "tokenizer.json"))
    examples, columns = tokens.split("train"), _columns(prepared / "multi_news", "train")
    assert examples.target is not None
    for name, found, length in (("source", examples.source, 256), ("target", examples.target, 64)):
        wanted = reference(columns[name], truncation=True, max_length=length)["input_ids"]
        assert [found[index].tolist() for index in range(len(found))] == wanted
        longer = [ids for ids in reference(columns[name])["input_ids"] if len(ids) > length]
        assert tokens.manifest["cut"]["train"][name] == len(longer) > 0


LONG = " ".join(f"film {n}" for n in range(400))


def _tokens_of(task: Task, row: dict[str, str], local: Write, tokenizer: Path, out: Path) -> TokenSet:
    """Tokens of a few copies of one row, numbered in their first column so that no two are equal."""
    first = task.columns[0]
    rows = [{**row, first: f"{n} {row[first]}", "label": n % 2} for n in range(6)]
    prepare(task, local(task.name, train=rows[:4], validation=rows[4:]), out / "rows", dev_size=1)
    tokenize(out / "rows", task, tokenizer, FAMILIES["t5"], out / "tokens", labels="words")
    return load_tokens(out / "tokens")


@pytest.mark.parametrize(
    "name, row, start, stop",
    [
        ("boolq", {"question": "is it", "passage": LONG}, "boolq passage: film 0", "question: 4 is it"),
        ("mnli", {"premise": LONG, "hypothesis": "Good."}, "Input: premise: 4", "hypothesis: Good. Output:"),
        ("rte", {"sentence1": LONG, "sentence2": "Good."}, "Input: sentence 1: 4", "sentence 2: Good. Output:"),
        ("qnli", {"question": "Good?", "sentence": LONG}, "Input: question: 4 Good? [SEP] sentence: film 0", "Output:"),
        ("qqp", {"question1": "Good?", "question2": LONG}, "Input: question 1: 4 Good? [SEP] question 2:", "Output:"),
    ],
)
def test_a_long_source_of_two_texts_is_cut_at_the_longer_one(
    name: str, row: dict[str, str], start: str, stop: str, local: Write, t5: Path, tmp_path: Path
) -> None:
    """A row without its question or hypothesis has no answer; BERT's pairs keep theirs, so T5's must keep them too."""
    tokens = _tokens_of(TASKS[name], row, local, t5, tmp_path)
    ids = tokens.split("test").source[0].tolist()
    text = load_decoder(t5)(ids)
    assert len(ids) == TASKS[name].source_length
    assert (ids.count(1), ids[-1]) == (1, 1)
    assert text.startswith(start)
    assert text.endswith(stop)
    assert "film 50" in text
    assert tokens.manifest["cut"] == {
        "train": {"source": 3, "target": 0},
        "dev": {"source": 1, "target": 0},
        "test": {"source": 2, "target": 0},
    }


def test_two_long_texts_share_the_room(local: Write, t5: Path, tmp_path: Path) -> None:
    row = {"sentence1": LONG, "sentence2": LONG.replace("film", "play")}
    ids = _tokens_of(TASKS["rte"], row, local, t5, tmp_path).split("test").source[0].tolist()
    first, second = load_decoder(t5)(ids).split(" [SEP] ")
    assert len(ids) == 256
    assert second.endswith(" Output:")
    assert abs(first.count("film") - second.count("play")) <= 1
    assert first.count("film") > 50


def test_a_source_of_just_its_length_is_not_cut(local: Write, t5: Path, tmp_path: Path) -> None:
    """The end of sequence counts as a token of the length."""
    row = {"sentence1": "a b", "sentence2": "c"}
    length = int(_tokens_of(TASKS["rte"], row, local, t5, tmp_path / "free").split("test").lengths.max())
    for room, cut in ((length, 0), (length - 1, 2)):
        task = TASKS["rte"].model_copy(update={"source_length": room})
        tokens = _tokens_of(task, row, local, t5, tmp_path / str(room))
        assert tokens.manifest["cut"]["test"]["source"] == cut
        assert set(tokens.split("test").lengths.tolist()) == {room}


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.parametrize("labels", ["words", "unified"])
def test_label_tokens(name: str, labels: str, prepared: Path, t5: Path, tmp_path: Path) -> None:
    task = TASKS[name]
    tokenize(prepared / name, task, t5, FAMILIES["t5"], tmp_path, labels=labels)  # type: ignore[arg-type]
    examples = load_tokens(tmp_path).split("test")
    wanted = LABEL_TOKENS[name] if labels == "words" else [DIGIT_TOKENS[word] for word in task.words("unified")]
    assert [list(tokens) for tokens in examples.labels.tokens] == wanted
    assert examples.target_length == max(map(len, wanted)) <= task.target_length
    assert examples.target is not None
    for index, label in enumerate(examples.label.tolist()):
        assert examples.target[index].tolist() == wanted[label]


def test_target_lengths_of_entries_are_the_longest_label_s() -> None:
    for name, tokens in LABEL_TOKENS.items():
        digits = [DIGIT_TOKENS[word] for word in TASKS[name].words("unified")]
        assert TASKS[name].target_length == max(map(len, [*tokens, *digits]))


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_bert_agrees_with_the_hugging_face_tokenizer(name: str, prepared: Path, bert: Path, tmp_path: Path) -> None:
    task = TASKS[name]
    tokenize(prepared / name, task, bert, FAMILIES["bert"], tmp_path, labels="words")
    reference = PreTrainedTokenizerFast(tokenizer_file=str(bert / "tokenizer.json"))
    tokens = load_tokens(tmp_path)
    assert (tokens.family, tokens.pad) == ("bert", 0)
    for split in tokens.splits:
        examples, columns = tokens.split(split), _columns(prepared / name, split)
        pair = columns["text_b"] if task.text_b else None
        wanted = reference(columns["text_a"], pair, truncation="longest_first", max_length=task.bert_length)
        longer = [ids for ids in reference(columns["text_a"], pair)["input_ids"] if len(ids) > task.bert_length]
        assert tokens.manifest["cut"][split] == {"source": len(longer)}
        assert examples.first is not None
        assert [examples.source[index].tolist() for index in range(len(examples))] == wanted["input_ids"]
        # The first segment ends with its [SEP] (102).
        assert examples.first.tolist() == [ids.index(102) + 1 for ids in wanted["input_ids"]]
        assert examples.label.tolist() == columns["label"]


def test_bert_heads_share_units_when_labels_are_unified(prepared: Path, bert: Path, tmp_path: Path) -> None:
    tokenize(prepared / "mnli", TASKS["mnli"], bert, FAMILIES["bert"], tmp_path, labels="unified")
    units = load_tokens(tmp_path).split("train").label.tolist()
    label_ids = _columns(prepared / "mnli", "train")["label"]
    assert units == [{0: 1, 1: 2, 2: 0}[label] for label in label_ids]


def test_bert_has_no_free_text(prepared: Path, bert: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="task samsum: the bert family runs classification alone"):
        tokenize(prepared / "samsum", TASKS["samsum"], bert, FAMILIES["bert"], tmp_path, labels="words")


def test_another_family_s_tokenizer_is_refused(prepared: Path, t5: Path, bert: Path, tmp_path: Path) -> None:
    for folder, family, token in ((bert, "t5", "</s>"), (t5, "bert", "[SEP]")):
        with pytest.raises(BadInput, match=rf"tokenizer\.json: no token {token}".replace("[", r"\[")):
            tokenize(prepared / "sst2", TASKS["sst2"], folder, FAMILIES[family], tmp_path, labels="words")
    with pytest.raises(BadInput, match=r"tokenizer\.json: no such file"):
        tokenize(prepared / "sst2", TASKS["sst2"], tmp_path, FAMILIES["t5"], tmp_path, labels="words")


def test_a_saved_tokenizer_s_own_padding_and_truncation_are_ignored(prepared: Path, t5: Path, tmp_path: Path) -> None:
    saved = json.loads((t5 / "tokenizer.json").read_text())
    saved["truncation"] = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    saved["padding"] = {
        "strategy": {"Fixed": 300},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "tokenizer.json").write_text(json.dumps(saved))
    for folder in (t5, tmp_path / "odd"):
        tokenize(prepared / "rte", TASKS["rte"], folder, FAMILIES["t5"], tmp_path / folder.name, labels="words")
    one, two = (load_tokens(tmp_path / name).split("train") for name in (t5.name, "odd"))
    assert one.source.values.tolist() == two.source.values.tolist()


def test_equal_inputs_give_equal_bytes_and_the_manifest_says_what_they_were(
    prepared: Path, t5: Path, tmp_path: Path
) -> None:
    for out in ("one", "two"):
        tokenize(prepared / "sst2", TASKS["sst2"], t5, FAMILIES["t5"], tmp_path / out, labels="words")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_rows_that_are_not_as_their_manifest_says_are_refused(prepared: Path, t5: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sst2"
    shutil.copytree(prepared / "sst2", folder)
    shutil.copy(folder / "dev.parquet", folder / "train.parquet")
    with pytest.raises(BadInput, match=r"train\.parquet: missing, or not as its manifest says"):
        tokenize(folder, TASKS["sst2"], t5, FAMILIES["t5"], tmp_path / "out", labels="words")
    assert not (tmp_path / "out" / MANIFEST).exists()
    with pytest.raises(BadInput, match=r"data\.json: holds sst2 version 1, not rte version 2"):
        tokenize(folder, TASKS["rte"], t5, FAMILIES["t5"], tmp_path / "out", labels="words")
    with pytest.raises(BadInput, match=r"data\.json: not a readable manifest"):
        tokenize(tmp_path, TASKS["rte"], t5, FAMILIES["t5"], tmp_path / "out", labels="words")


@pytest.mark.parametrize("name", [task.name for task in TASKS.values() if task.source == "mini"])
def test_the_mini_vocabulary_covers_templates_labels_and_rows(name: str, tmp_path: Path) -> None:
    from petscale.pretraining.tokenizer import t5_tokenizer

    task = TASKS[name]
    t5_tokenizer().save_pretrained(tmp_path / "tokenizer")
    prepare(task, MiniSource(), tmp_path / "rows", dev_size=10, max_train=50, max_test=50)
    for labels in ("words", "unified"):
        tokenize(tmp_path / "rows", task, tmp_path / "tokenizer", FAMILIES["t5"], tmp_path / labels, labels=labels)  # type: ignore[arg-type]
        examples = load_tokens(tmp_path / labels).split("train")
        assert examples.target is not None
        assert 2 not in examples.source.values  # <unk>
        assert 2 not in examples.target.values
        assert examples.lengths.max() < task.source_length
        assert examples.target.lengths.max() <= task.target_length
        decode = load_decoder(tmp_path / "tokenizer")
        assert tuple(decode(tokens) for tokens in examples.labels.tokens) == task.words(labels)  # type: ignore[arg-type]


def test_a_rerun_that_fails_leaves_no_manifest(local: Write, t5: Path, tmp_path: Path) -> None:
    source = local("sst2", train=reviews(12), validation=reviews(3, first=50))
    prepare(TASKS["sst2"], source, tmp_path / "rows", dev_size=4)
    tokenize(tmp_path / "rows", TASKS["sst2"], t5, FAMILIES["t5"], tmp_path / "out", labels="words")
    (tmp_path / "rows" / "train.parquet").unlink()
    with pytest.raises(BadInput, match=r"train\.parquet: missing"):
        tokenize(tmp_path / "rows", TASKS["sst2"], t5, FAMILIES["t5"], tmp_path / "out", labels="words")
    with pytest.raises(BadInput, match=r"tokens\.json: not a readable manifest"):
        load_tokens(tmp_path / "out")
