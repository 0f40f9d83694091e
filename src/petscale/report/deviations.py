"""Where the protocol differs from the papers, and why: the source of docs/deviations.md and of the report's page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One place where the protocol differs."""

    place: str
    paper: str
    here: str
    why: str


DEVIATIONS = (
    Deviation(
        "selection and test",
        "best checkpoint chosen and reported on the same dev set; no test set is scored",
        "selection on rows held out from train; the test rows are scored once, at the end",
        "a maximum over evaluations on the reported set is biased upwards, most where scores are noisy",
    ),
    Deviation(
        "generation length",
        "maximum length 1 on classification (appendix B.3)",
        "up to the longest label plus end of sequence",
        "one token cannot emit `entailment`, which T5 writes with four",
    ),
    Deviation(
        "random level",
        "0 % on T5, 100/classes on BERT",
        "measured: the frozen backbone on T5, a fixed random head (`head: frozen`) on BERT",
        "the low threshold is a distance from a level, and the level can be measured",
    ),
    Deviation(
        "two accuracies",
        "exact match of free generation",
        "the same, and beside it the rank of the label words (chance 100/classes)",
        "exact match of generation is 0 until a model writes labels at all, which is a threshold of its own",
    ),
    Deviation(
        "dropout",
        "released code: 0.1 for PET runs, 0 for APET runs",
        "the same for both",
        "otherwise every bar of PET against APET compares dropout too",
    ),
    Deviation(
        "steps and evaluation",
        "not stated; released code: 20,000 steps, evaluated every 1,000",
        "stated in the study file, the same for every method",
        "the convergence experiment reads the curves, so their resolution must be the same",
    ),
    Deviation(
        "convergence",
        "`training steps to convergence`, without a definition",
        "first step from which the smoothed dev score stays within a tolerance of its best; a run that never rises "
        "above its baseline has none; time to a common target beside it",
        "a flat run would otherwise converge at its first step",
    ),
    Deviation(
        "thresholds",
        "read off figure 7 by eye; one learning rate",
        "monotone fit on log budget with bootstrap intervals; the best of several learning rates chosen on dev, or "
        "one, as the study file says; censored at the ends of the sweep, never extrapolated",
        "a fixed rate can make a threshold an artefact of the rate",
    ),
    Deviation(
        "APET positions",
        "released T5 code picks whole tensors and misses the budget by up to a third; the masks are not in it",
        "exact budgets, fixed shares by operation and role, vocabulary matrices excluded, adjacent and discrete with "
        "identical quotas",
        "structure must be the only difference between the two, and position must not change with scale",
    ),
    Deviation(
        "BitFit and LoRA sites",
        "counts of table 2 come from two code bases (reference facts 1.2)",
        "those of the published counts, with `effective` beside `trainable`",
        "dead entries (key biases, unused tables) are counted but cannot act",
    ),
    Deviation(
        "prompt's budget on BERT-small",
        "0.09 % in table 2, which is 25,600 parameters or 50 tokens; 100 tokens everywhere else (facts 1.2)",
        "100 tokens on every backbone, 51,200 parameters or 0.18 % there; that row stands beside the paper's as `other "
        "budget`, without a difference. A study of BERT-small with the group `prompt-50` trains the paper's count",
        "a method must be the same on every backbone of a ladder, or its curve over scale compares two methods",
    ),
    Deviation(
        "transfer",
        "unified labels; MNLI's third class unexplained (released code: the digit `2`)",
        "MNLI keeps its three classes, with `2` for neutral, and the source's head is carried along on BERT: a source "
        "of two classes can never emit the third label, so its ceiling on MNLI is about 67 %, the share of rows that "
        "are not neutral; classification to generation and back is marked undefined",
        "the target's own score is on all three classes, so the ratio must be too; chance stays 100/classes",
    ),
    Deviation(
        "rows that two tasks share",
        "not mentioned; SST-2 and Rotten Tomatoes are cut from the same snippets",
        "in transfer within a kind, target test rows whose whole input (letters and digits, without case) stands in "
        "the source's train or dev rows are left out of the score; their number and the score with them stand beside "
        "it. The target's own score is on all rows. Phrases of a test sentence in SST-2's train rows remain",
        "a score on rows that the source was trained on is no zero-shot score",
    ),
    Deviation(
        "relative performance",
        "zero-shot over original score",
        "the same, and beside it both above chance",
        "on two balanced classes chance alone gives about 55 %",
    ),
    Deviation(
        "ROUGE",
        "py-rouge with stemming and weight factor 1.2",
        "rouge-score, ROUGE-L F-measure",
        "py-rouge is unmaintained; numbers differ by a few tenths",
    ),
    Deviation(
        "gaps",
        "largest and smallest gap between means, without a test",
        "the same, beside the between-method variance and a permutation null, in points and in log-odds",
        "a largest-minus-smallest gap grows with noise and shrinks at a ceiling",
    ),
)


def as_markdown() -> str:
    """The text of docs/deviations.md."""
    lines = [
        "# Deviations from Su et al.",
        "",
        "Each place where the protocol differs from the paper or from its released code, and why. This page is made",
        "from `src/petscale/report/deviations.py`, which is also what a report shows.",
        "",
        "| place | paper or its code | here | why |",
        "| --- | --- | --- | --- |",
        *(f"| {one.place} | {one.paper} | {one.here} | {one.why} |" for one in DEVIATIONS),
        "",
    ]
    return "\n".join(lines)
