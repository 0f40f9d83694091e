"""Rows that would be read otherwise than they were meant are read right, refused with file and row, or told of."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from petscale.data import files
from petscale.data.prepare import prepare
from petscale.data.sources import LocalSource, read_rows
from petscale.errors import BadInput
from petscale.tasks import TASKS

from .conftest import Write, reviews

SST2, NQ, QQP, SAMSUM, MRPC = (TASKS[name] for name in ("sst2", "nq_open", "qqp", "samsum", "mrpc"))


def refused(path: Path, task: str = "sst2") -> str:
    with pytest.raises(BadInput) as error:
        files.read(path, TASKS[task])
    message = str(error.value)
    assert "\n" not in message and message.startswith(str(path))
    return message.removeprefix(f"{path}: ")


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Names --------------------------------------------------------------------------------------------------------------


def _table(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """A table with these names, which may be odd or repeated, in the format of the path's suffix."""
    if path.suffix == ".parquet":
        columns = [pyarrow.array(list(column)) for column in zip(*rows, strict=True)]
        pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, names=list(names)), path)
    elif path.suffix == ".jsonl":
        pairs = [[f"{json.dumps(n)}: {json.dumps(v)}" for n, v in zip(names, row, strict=True)] for row in rows]
        path.write_text("".join(f"{{{', '.join(row)}}}\n" for row in pairs))
    else:
        with open(path, "w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, csv.excel if path.suffix == ".csv" else csv.excel_tab)
            writer.writerows([names, *rows])
    return path


@pytest.mark.parametrize("suffix", files.READERS)
def test_a_column_that_is_there_twice_is_refused_in_every_format(tmp_path: Path, suffix: str) -> None:
    """csv, tsv and jsonl kept the last one without a word: with two annotators, all labels were the second's."""
    path = _table(tmp_path / f"train.{suffix}", ["sentence", "label", "label"], [["a", 0, 1]])
    assert "column 'label' is there twice; keep the one that is meant" in refused(path)


@pytest.mark.parametrize("suffix", files.READERS)
def test_other_columns_may_have_any_name(tmp_path: Path, suffix: str) -> None:
    """Nobody reads them, so neither a repeated nor an odd name of theirs matters."""
    names = ["idx", 'odd "name",\nof\ttwo lines', "sentence", "idx", "", "label", "label.x"]
    path = _table(tmp_path / f"train.{suffix}", names, [[1, "x", "fine", 2, "y", 1, "z"]])
    (row,) = files.read(path, SST2).rows
    assert (row["sentence"], int(row["label"]), len(row)) == ("fine", 1, 2)


@pytest.mark.parametrize("suffix", files.READERS)
def test_a_missing_column_gives_one_line_with_the_names_that_are_there(tmp_path: Path, suffix: str) -> None:
    path = _table(tmp_path / f"train.{suffix}", ["text", " label", "two\nlines"], [["a", 0, "x"]])
    assert "column 'sentence' is missing (there are: text, ' label', 'two\\nlines')" in refused(path)


def test_a_column_that_nobody_reads_is_not_decoded(tmp_path: Path) -> None:
    """A date before year 1 cannot be a Python object; it once gave a traceback, though no task reads dates."""
    dates = pyarrow.array([-(10**11)], pyarrow.int64()).cast(pyarrow.timestamp("s"))
    with pytest.raises((ValueError, OverflowError)):
        dates.to_pylist()
    table = pyarrow.table({"sentence": ["a"], "label": [1], "when": dates})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    assert files.read(tmp_path / "train.parquet", SST2).rows == [{"sentence": "a", "label": 1}]
    renamed = pyarrow.table({"sentence": dates, "label": [1]})
    pyarrow.parquet.write_table(renamed, tmp_path / "odd.parquet")
    assert refused(tmp_path / "odd.parquet").startswith("not a readable parquet file (")


# Labels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "fine"),
    [
        (["negative", "positive"], True),
        (["neg", "pos"], True),
        (["0", "1"], True),
        (["positive", "negative"], False),
        (["1", "0"], False),
        (["bad", "good"], False),
        (["negative", "positive", "neutral"], False),
    ],
)
def test_the_label_names_in_a_parquet_file_must_be_the_task_s(tmp_path: Path, names: list[str], fine: bool) -> None:
    """`datasets` stores the names; in another order, every label would be read as its opposite."""
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    table = datasets.Dataset.from_dict({"sentence": ["a", "b"], "label": [0, 1]}, features=features)
    table.to_parquet(str(tmp_path / "train.parquet"))
    if fine:
        assert [row["label"] for row in files.read(tmp_path / "train.parquet", SST2).rows] == [0, 1]
    else:
        assert "in the task's order they are negative, positive" in refused(tmp_path / "train.parquet")


def test_a_label_that_is_a_name_gets_the_ids(local: Write) -> None:
    with pytest.raises(BadInput, match=r"row 1: label 'positive' is no integer; labels are ids \(0 negative, 1 pos"):
        read_rows(SST2, local("sst2", train=[{"sentence": "a", "label": "positive"}], validation=reviews(1)))


# Answers ------------------------------------------------------------------------------------------------------------

ANSWERS = [
    ["14", "fourteen"],
    ["Say Goodbye to Daisy Miller"],
    ["it 's", 'a "b"', "both ' and \""],
    ["a, b", "[c]", "d' 'e"],
    ["naïve\nline", "tab\tstop", "back\\slash"],
    ["x" * 90, "y" * 90],
]


def _by_datasets(rows: list[dict[str, Any]], path: Path) -> None:
    datasets.Dataset.from_list(rows).to_csv(str(path))


def _by_pandas(rows: list[dict[str, Any]], path: Path) -> None:
    pandas.DataFrame(rows).to_csv(path, index=False)


def _by_arrays(rows: list[dict[str, Any]], path: Path) -> None:
    """What pandas writes after it read the lists from parquet, where they are arrays of NumPy."""
    pandas.DataFrame(rows).to_parquet(path.with_suffix(".parquet"))
    pandas.read_parquet(path.with_suffix(".parquet")).to_csv(path, index=False)
    path.with_suffix(".parquet").unlink()


@pytest.mark.parametrize("export", [_by_datasets, _by_pandas, _by_arrays])
def test_lists_of_answers_that_a_library_wrote_as_text_are_read_as_lists(
    tmp_path: Path, export: Callable[[list[dict[str, Any]], Path], None]
) -> None:
    """NQ-Open's answers in a csv file were taken for one text each, so a right answer scored 0."""
    folder = tmp_path / "rows" / "nq_open"
    folder.mkdir(parents=True)
    rows = [{"question": f"q{n}", "answer": answers} for n, answers in enumerate(ANSWERS)]
    export(rows, folder / "train.csv")
    export([{"question": "r", "answer": ["x"]}], folder / "validation.csv")
    found = read_rows(NQ, LocalSource(tmp_path / "rows", "n"))
    assert [row["answer"] for row in found["train"].rows] == ANSWERS


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("plain", ["plain"]),
        ("14", ["14"]),
        ('"quoted"', ['"quoted"']),
        ("[open", ["[open"]),
        ("array(['a', 'b'], dtype=object)", ["a", "b"]),
        ("[\n 'a'\n 'b'\n]", ["a", "b"]),
    ],
)
def test_answers_in_other_spellings(local: Write, text: str, answers: list[str]) -> None:
    row = {"question": "q", "answer": text}
    rows = read_rows(NQ, local("nq_open", train=[row], validation=[{**row, "question": "r"}]))
    assert rows["train"].rows[0]["answer"] == answers


UNREADABLE = ("['a' ... 'z']", "['a', nan]", "[unknown]", "['a', 'b' 'c']", "[b'a']", "['a', None]")


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_list_that_cannot_be_read_is_refused(local: Write, text: str) -> None:
    row = {"question": "q", "answer": text}
    with pytest.raises(BadInput, match=r"train\.jsonl: row 1: column 'answer' holds .*, a list that cannot be read"):
        read_rows(NQ, local("nq_open", train=[row], validation=[row]))


# Quotation marks ----------------------------------------------------------------------------------------------------

QUOTED = ['he said "no"', "a\tb", "two\nlines", "plain", '"all of it"', "it 's 5\" wide", "trailing \\", "", "1"]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_a_quoted_tsv_is_read_as_it_was_written(tmp_path: Path, quoting: Any) -> None:
    """pandas quotes in tsv files too; the doubled quotation marks were taken for a part of the text."""
    texts = QUOTED if quoting != csv.QUOTE_NONNUMERIC else QUOTED[:-1]
    frame = pandas.DataFrame({"sentence": texts, "label": [n % 2 for n in range(len(texts))]})
    frame.to_csv(tmp_path / "train.tsv", sep="\t", index=False, quoting=quoting)
    assert [row["sentence"] for row in files.read(tmp_path / "train.tsv", SST2).rows] == texts


PLAIN = ['he said "no"', '"no" , he said', '"open', '5" wide', '""', "back\\slash"]


def test_a_plain_tsv_keeps_its_quotation_marks(tmp_path: Path) -> None:
    """GLUE's files are not quoted: marks stand in them as in the text, also single ones at the start of a field."""
    lines = "".join(f"{text}\t{n % 2}\n" for n, text in enumerate(PLAIN))
    found = files.read(write(tmp_path / "train.tsv", f"sentence\tlabel\n{lines}"), SST2)
    assert [row["sentence"] for row in found.rows] == PLAIN
    assert found.told == {"text in quotation marks, which are kept as part of it": 1}


@pytest.mark.parametrize(
    "text",
    [
        'sentence,label\nfine,1\n"good movie,1\nbad movie,0\nhe said no",1\n',
        'label,sentence\n1,fine\n1,"good movie\n0,bad movie\n1,he said no"\n',
        'sentence,label\nfine,1\n"good , movie,1\nhe said no",1\n',
    ],
)
def test_a_quotation_mark_that_swallows_rows_is_refused(tmp_path: Path, text: str) -> None:
    """Both marks are there, so the csv is valid: three rows were read as one, with the last one's label."""
    message = refused(write(tmp_path / "train.csv", text))
    assert message.startswith("row 2 (line 3): a quotation mark joins it with the lines up to ")


def test_a_text_of_several_lines_is_read(tmp_path: Path) -> None:
    text = 'sentence,label\n"good, really\nfine, too\n\nthe end",1\nbad,0\n'
    found = files.read(write(tmp_path / "train.csv", text), SST2)
    assert [row["sentence"] for row in found.rows] == ["good, really\nfine, too\n\nthe end", "bad"]
    assert found.place(1).endswith("train.csv: row 2 (line 6)")  # the line where an editor shows it


def test_dialogues_whose_every_line_could_be_a_row_are_told_of(tmp_path: Path) -> None:
    """Without labels nobody can tell a dialogue with commas from rows that a mark joined."""
    text = 'dialogue,summary\n"a: hi, you\nb: hi, me",they meet\n"a: hi\nb: hi",again\n'
    found = files.read(write(tmp_path / "train.csv", text), SAMSUM)
    assert found.told == {"row of several lines, each of which could be a row of its own": 1}


# Other kinds of files -----------------------------------------------------------------------------------------------

CSV = "sentence,label\nfine,1\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", gzip.compress(CSV.encode(), mtime=0), "compressed with gzip; unpack it"),
        ("a.jsonl", b"PK\x03\x04rest", "a zip archive or a spreadsheet"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n", "a Git LFS pointer"),
        ("a.csv", CSV.encode("utf-16"), "text in UTF-16; save it as UTF-8"),
        ("a.csv", CSV.encode("utf-16-le"), "text in UTF-16; save it as UTF-8"),
        ("a.jsonl", '{"sentence": "a"}'.encode("utf-16-be"), "text in UTF-16; save it as UTF-8"),
        ("a.jsonl", "<!DOCTYPE html><html>", "a web page"),
        ("a.jsonl", '[\n{"sentence": "a", "label": 1}\n]', "a JSON array; one object a line is needed"),
        ("a.jsonl", '[{"sentence": "a", "label": 1}]', "a JSON array; one object a line is needed"),
        ("a.jsonl", '{\n"sentence": "a",\n"label": 1\n}\n', "a JSON object over several lines; one object a line"),
        ("a.csv", CSV.replace(",", ";"), "its fields are separated by semicolons, those of a csv file by commas"),
        ("a.csv", CSV.replace(",", "\t"), "its fields are separated by tabs, those of a csv file by commas"),
        ("a.tsv", CSV, "its fields are separated by commas, those of a tsv file by tabs"),
    ],
)
def test_a_file_of_another_kind_is_named_for_what_it_is(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    assert refused(write(tmp_path / name, content)).startswith(message)


def test_marks_of_a_windows_editor_are_no_text(tmp_path: Path) -> None:
    for name, text in {"a.csv": CSV, "a.jsonl": '{"sentence": "fine", "label": "1"}\n'}.items():
        path = write(tmp_path / name, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
        assert files.read(path, SST2).rows == [{"sentence": "fine", "label": "1"}]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("train.jsonl.gz", "; there is train.jsonl.gz: unpack it"),
        ("train-00000-of-00001.parquet", "; there is train-00000-of-00001.parquet: rename it"),
        ("train-00000-of-00003.parquet", "; there is train-00000-of-00003.parquet: join its 3 parts to one file"),
        ("Train.CSV", "; there is Train.CSV: rename it"),
        ("unrelated.txt", ""),
    ],
)
def test_a_file_that_may_be_meant_is_mentioned(local: Write, name: str, hint: str) -> None:
    source = local("sst2", validation=reviews(1))
    (source.folder / "sst2" / name).touch()
    with pytest.raises(BadInput) as error:
        read_rows(SST2, source)
    assert str(error.value).endswith("no file train.{jsonl,parquet,tsv,csv}" + hint)


def test_a_dev_file_beside_a_missing_validation_is_mentioned(local: Write) -> None:
    source = local("sst2", train=reviews(1))
    (source.folder / "sst2" / "dev.tsv").touch()
    with pytest.raises(BadInput, match=r"no file validation or test\.\S+; there is dev\.tsv: rename it"):
        read_rows(SST2, source)


# What is told -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\u200b", " \u2060\u200d ", "\ufeff", "\x00", "\u00ad"])
def test_a_text_without_width_is_empty(local: Write, text: str) -> None:
    """It looks empty and a tokenizer gives it no token, but Python's `strip` keeps it."""
    with pytest.raises(BadInput, match=r"row 1: column 'sentence' is empty"):
        read_rows(SST2, local("sst2", train=[{"sentence": text, "label": 0}], validation=reviews(1)))


def told(source: LocalSource, task: str, out: Path, **sizes: Any) -> Any:
    prepare(TASKS[task], source, out, **{"dev_size": 1, **sizes})
    return json.loads((out / "data.json").read_bytes()).get("told")


def test_ordinary_rows_leave_no_word(local: Write, tmp_path: Path) -> None:
    """The manifest is then the same, byte for byte, as before anything was told."""
    source = local("sst2", train=reviews(30), validation=reviews(6, first=90))
    assert told(source, "sst2", tmp_path, dev_size=8) is None


def test_what_readers_of_the_scores_must_know_is_in_the_manifest(local: Write, tmp_path: Path) -> None:
    odd = [{"sentence": "Twice", "label": 0}, {"sentence": "twice ", "label": 1}, {"sentence": "NaN", "label": 1}]
    source = local("sst2", train=[*reviews(30), *odd], validation=[{"sentence": f"t{n}", "label": 1} for n in range(4)])
    assert told(source, "sst2", tmp_path, dev_size=8) == {
        "train": {"same input with another label": 2, "text that reads nan, None or null": 1},
        "test": {"only one class (positive)": 4},
    }


def test_pairs_that_stand_swapped_in_an_evaluation_split_are_counted(local: Write, tmp_path: Path) -> None:
    pairs = [{"sentence1": f"a{n}", "sentence2": f"b{n}", "label": n % 2} for n in range(8)]
    swapped = [{**pairs[n], "sentence1": f"B{n}", "sentence2": f"a{n}"} for n in (1, 2)]
    source = local("mrpc", train=pairs, validation=[*swapped, {"sentence1": "c", "sentence2": "d", "label": 1}])
    what = "pair whose texts, swapped, are in an evaluation split"
    assert told(source, "mrpc", tmp_path, dev_size=4)["train"] == {what: 2}


def test_a_summary_without_words_is_counted(local: Write, tmp_path: Path) -> None:
    rows = [{"dialogue": f"d{n}", "summary": "they meet"} for n in range(4)]
    source = local("samsum", train=rows, test=[{"dialogue": "t", "summary": "..."}, {"dialogue": "u", "summary": "吃"}])
    what = "target without a letter or digit, for which ROUGE is 0"
    assert told(source, "samsum", tmp_path) == {"test": {what: 1}}


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.source == "mini"])
def test_nothing_is_told_of_the_generated_language(name: str) -> None:
    from petscale.data.sources import MiniSource

    assert all(not rows.told for rows in read_rows(TASKS[name], MiniSource()).values())
