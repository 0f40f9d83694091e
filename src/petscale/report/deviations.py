"""The list of differences between this protocol and the paper's; docs/deviations.md and the report show it."""

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
        "sources that are too long",
        "released code: cut at the end, which can remove a question or hypothesis completely",
        "a source of one text is cut at its end, as in the released code; in a source of two texts the longer one is "
        "cut, as for BERT. The manifest of the tokens counts the rows that are cut (`cut`)",
        "a row without its question cannot be answered, and BERT sees the question",
    ),
    Deviation(
        "random level",
        "0 % on T5, 100/classes on BERT",
        "measured: the score of the frozen backbone on T5, and of a fixed random head (`head: frozen`) on BERT",
        "the low threshold is a distance from the random level, and that level can be measured",
    ),
    Deviation(
        "two accuracies",
        "exact match of free generation",
        "every claim is decided twice: as published, and by knowledge, which is the accuracy of the most probable "
        "label (chance 100/classes) and the score above the frozen backbone on free text",
        "exact match of generation is 0 until a model writes label words at all, which is no knowledge",
    ),
    Deviation(
        "tasks that count",
        "all tasks at all sizes",
        "tasks on which full fine-tuning is above the measured baseline by a margin, at the lower end of its interval",
        "where not even full fine-tuning learns a task, differences between methods say nothing about tuning",
    ),
    Deviation(
        "dropout",
        "released code: 0.1 for PET runs, 0 for APET runs",
        "the same for both",
        "otherwise every comparison of PET with APET also compares two dropout rates",
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
        "the step that reaches a target which is common to both structures and all seeds of a task; a run that does "
        "not reach it is censored. The first step from which the dev score stays near its best is shown beside it",
        "by a rule on single runs, a run that still rises has converged near its end, so that fast and slow look alike",
    ),
    Deviation(
        "thresholds",
        "read off figure 7 by eye; one learning rate",
        "monotone fit over budgets with bootstrap intervals that contain what lies between two budgets; one learning "
        "rate, or the best of several on dev rows, as the study file says; a threshold outside the swept budgets is "
        "given as a bound, never extrapolated. A study may let budgets follow from results instead (threshold search), "
        "at the recipe's learning rate",
        "between two budgets nothing was measured; with one fixed learning rate, a threshold can be an artefact of it",
    ),
    Deviation(
        "APET positions",
        "the released T5 code picks whole tensors and misses the budget by up to a third; it contains no masks",
        "exact budgets, fixed shares by operation and role, no vocabulary matrices, and the same number of entries per "
        "site for adjacent and discrete",
        "the two must differ in structure alone, and the positions must not change with scale",
    ),
    Deviation(
        "BitFit and LoRA sites",
        "the counts of table 2 come from two code bases",
        "the sites that give the published counts, with `effective` reported beside `trainable`",
        "the published counts include entries that cannot change the output (key biases, unused tables)",
    ),
    Deviation(
        "prompt's budget on BERT-small",
        "0.09 % in table 2, which is 25,600 parameters or 50 tokens; 100 tokens everywhere else",
        "100 tokens on every backbone, which is 51,200 parameters or 0.18 % on BERT-small; the comparison with the "
        "paper marks that row as `other budget` and gives no difference. A study of BERT-small with the group "
        "`prompt-50` trains the paper's count",
        "a method must be the same on every backbone of a ladder; otherwise its curve over scale compares two methods",
    ),
    Deviation(
        "transfer",
        "unified labels; MNLI's third class unexplained (released code: the digit `2`)",
        "MNLI keeps its three classes, with `2` for neutral. On BERT the source's head is transferred too. A source of "
        "two classes can never give the third label, so it reaches at most about 67 % on MNLI, the share of rows that "
        "are not neutral. Transfer between classification and generation is marked undefined",
        "the cell trained on the target is scored on all three classes, so the ratio must use them too; chance stays "
        "100/classes",
    ),
    Deviation(
        "rows that two tasks share",
        "not mentioned; SST-2 and Rotten Tomatoes are taken from the same review snippets",
        "in transfer within a kind of task, the score leaves out target test rows whose whole input (letters and "
        "digits, ignoring case) is also among the source's train or dev rows; their number and the score with them are "
        "given beside it. The score of the cell trained on the target uses all rows. Train rows of SST-2 that are only "
        "a phrase of a test sentence are not detected",
        "a score on rows that the source was trained on is not a zero-shot score",
    ),
    Deviation(
        "relative performance",
        "zero-shot score divided by original score",
        "shown beside the value of a constant guess; verdicts rest on the share above chance, by rank, between tasks "
        "that were learnt",
        "on two balanced classes, guessing alone gives more than half, and less the better the target is learnt",
    ),
    Deviation(
        "ROUGE",
        "py-rouge with stemming and weight factor 1.2",
        "rouge-score, ROUGE-L F-measure",
        "py-rouge is unmaintained; numbers differ by a few tenths",
    ),
    Deviation(
        "gaps",
        "largest and smallest gap between means, without a statistical test",
        "the same, and in addition the between-method variance and a permutation test",
        "the gap between the largest and the smallest mean grows with noise",
    ),
)


def as_markdown() -> str:
    """The text of docs/deviations.md."""
    lines = [
        "# Deviations from Su et al.",
        "",
        "This table lists each place where the protocol differs from the paper or from its released code, and why. The",
        "page is made from `src/petscale/report/deviations.py`; a report shows the same table.",
        "",
        "| place | paper or its code | here | why |",
        "| --- | --- | --- | --- |",
        *(f"| {one.place} | {one.paper} | {one.here} | {one.why} |" for one in DEVIATIONS),
        "",
    ]
    return "\n".join(lines)
