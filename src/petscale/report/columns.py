"""The columns of the page's tables: the heading, the field and the number format of each."""

from __future__ import annotations

from petscale.report.html_table import Column, listed, number, significant, text, yes_no

POINTS = number(1)
SIGNED = number(1, sign=True)
BIG = significant(3)
WHOLE = number(0)

BACKBONE = Column("backbone", "display", text)
METHOD = Column("method", "method", text)
TASK = Column("task", "task", text)
GROUP = Column("group", "group", text)
READING = Column("reading", "reading", text)
TRAINABLE = Column("trainable", "trainable", WHOLE, True)
PERCENT = Column("%", "percent", significant(2), True)
MATCHES = Column("matches", "matches", listed)
MEAN = Column("mean, points", "value|low|high", POINTS, True)
SCORE = Column("score, points", "value|low|high", POINTS, True)
MINUS_FULL = Column("minus full", "difference|difference_low|difference_high", SIGNED, True)
BY_RANK = Column("by rank of the label words", "rank_accuracy", POINTS, True)
SEEDS = Column("seeds", "seeds", WHOLE, True)
LEFT_OUT = Column("tasks left out", "left_out", listed)

LEARNT = [
    BACKBONE,
    TASK,
    Column("head", "head", text),
    Column("baseline", "baseline", POINTS, True),
    Column("from", "baseline_from", text),
    Column("full fine-tuning", "full", POINTS, True),
    Column("above baseline", "value|low|high", SIGNED, True),
    Column("needed", "needed", POINTS, True),
    Column("counts", "learnt", yes_no),
]
RATES = [
    BACKBONE,
    TASK,
    METHOD,
    Column("budget", "budget", WHOLE, True),
    Column("rates tried", "rates", listed),
    Column("dev, points", "devs", listed),
    Column("chosen", "chosen", significant(2), True),
    Column("by seed", "seed", WHOLE, True),
    Column("beyond", "note", text),
]
METHOD_MEANS = [
    READING,
    BACKBONE,
    METHOD,
    MEAN,
    MINUS_FULL,
    SEEDS,
    Column("diverged at chance", "diverged_at_chance", POINTS, True),
    LEFT_OUT,
]
METHOD_TASKS = [READING, BACKBONE, METHOD, TASK, SCORE, MINUS_FULL, BY_RANK, SEEDS]
METRICS = [
    BACKBONE,
    METHOD,
    TASK,
    Column("metric", "metric", text),
    SCORE,
    Column("main metric", "main_value", POINTS, True),
    SEEDS,
]
COMPARISON = [
    READING,
    BACKBONE,
    METHOD,
    MEAN,
    Column("rank", "rank", WHOLE, True),
    Column("rank between", "rank_low|rank_high", WHOLE, True),
    Column("may be the best", "with_best", yes_no),
    TRAINABLE,
    PERCENT,
    Column("memory / full", "memory_ratio", number(2), True),
    Column("training speed / full", "train_ratio", number(2), True),
    Column("inference speed / full", "inference_ratio", number(2), True),
    Column("no method is better with fewer", "frontier", yes_no),
    LEFT_OUT,
]
VARIANTS = [
    READING,
    BACKBONE,
    TASK,
    Column("first", "first", text),
    Column("second", "second", text),
    Column("differs in (first / second)", "differs", text),
    Column("first, points", "first_value", POINTS, True),
    Column("second, points", "second_value", POINTS, True),
    Column("first minus second", "difference|low|high", SIGNED, True),
    SEEDS,
    LEFT_OUT,
]
GAPS = [
    READING,
    BACKBONE,
    Column("largest gap", "largest_gap", number(2), True),
    Column("from noise alone", "null_gap", number(2), True),
    Column("p (shuffled methods)", "p", number(4), True),
    Column("smallest gap", "smallest_gap", number(2), True),
    Column("between-method sd", "sd|sd_low|sd_high", number(2), True),
    SEEDS,
    LEFT_OUT,
]
STRUCTURE_MEANS = [
    READING,
    BACKBONE,
    GROUP,
    METHOD,
    TRAINABLE,
    MEAN,
    Column("minus PET", MINUS_FULL.field, SIGNED, True),
    SEEDS,
    LEFT_OUT,
]
STRUCTURE_GAPS = [READING, BACKBONE, GROUP, *GAPS[2:]]
CONVERGENCE = [
    READING,
    BACKBONE,
    Column("budget of", "group", text),
    Column("measure", "measure", text),
    Column("log2 ratio", "value|low|high", number(2), True),
    Column("pairs", "pairs", WHOLE, True),
    Column("censored", "censored", WHOLE, True),
    Column("runs still rising", "still_rising", WHOLE, True),
    Column("adjacent first", "adjacent_first", WHOLE, True),
    Column("discrete first", "discrete_first", WHOLE, True),
    SEEDS,
    LEFT_OUT,
]
THRESHOLDS = [
    READING,
    BACKBONE,
    TASK,
    METHOD,
    Column("low, between", "low_after|low_until", BIG, True),
    Column("interval", "low_from|low_to", BIG, True),
    Column("high, between", "high_after|high_until", BIG, True),
    Column("interval", "high_from|high_to", BIG, True),
    Column("no high threshold", "high_none", text),
    Column("% of full past low", "jump|jump_from|jump_to", WHOLE, True),
    Column("above baseline", "jump_above_baseline|jump_above_baseline_from|jump_above_baseline_to", WHOLE, True),
    Column("found by", "basis", text),
    SEEDS,
    Column("budgets left out", "left_out", listed),
]
SEARCHES = [
    READING,
    BACKBONE,
    TASK,
    METHOD,
    Column("budgets", "smallest|largest", WHOLE, True),
    Column("cells", "trials", WHOLE, True),
    Column("at most", "most_trials", WHOLE, True),
    Column("known within a factor", "factor", number(1), True),
    Column("ended", "ended", text),
    Column("noise of a cell, points", "noise", POINTS, True),
]
THRESHOLD_POINTS = [
    READING,
    BACKBONE,
    TASK,
    METHOD,
    Column("budget", "budget", WHOLE, True),
    Column("learning rate", "learning_rate", significant(2), True),
    SCORE,
    BY_RANK,
    SEEDS,
]
TRANSFER_RELATIONS = [
    BACKBONE,
    METHOD,
    Column("ratio", "ratio", text),
    Column("targets", "relation", text),
    Column("%", "value|low|high", POINTS, True),
    Column("pairs", "pairs", WHOLE, True),
    Column("without a number", "without_number", WHOLE, True),
    SEEDS,
]
TRANSFER = [
    BACKBONE,
    METHOD,
    Column("source", "source", text),
    Column("target", "target", text),
    Column("score, points", "score", POINTS, True),
    Column("rows seen by source", "shared_rows", WHOLE, True),
    Column("score with them", "score_all", POINTS, True),
    Column("target's own", "original", POINTS, True),
    Column("relative, %", "relative|relative_low|relative_high", POINTS, True),
    Column("a constant guess, %", "guess", POINTS, True),
    Column("by rank", "rank", POINTS, True),
    Column("target's own by rank", "original_rank", POINTS, True),
    Column("above chance, %", "above_chance|above_chance_low|above_chance_high", POINTS, True),
    Column("status", "status", text),
]
CONTROL = [
    BACKBONE,
    METHOD,
    Column("kind", "kind", text),
    Column("pre-trained", "pretrained", POINTS, True),
    Column("random", "random", POINTS, True),
    Column("difference", "difference|low|high", SIGNED, True),
    SEEDS,
]
EFFICIENCY = [
    BACKBONE,
    TASK,
    METHOD,
    TRAINABLE,
    PERCENT,
    Column("train, tokens/s", "train|train_low|train_high", BIG, True),
    Column("% of full", "train_ratio|train_ratio_low|train_ratio_high", POINTS, True),
    Column("inference, tokens/s", "inference|inference_low|inference_high", BIG, True),
    Column("% of full", "inference_ratio|inference_ratio_low|inference_ratio_high", POINTS, True),
    Column("merged, tokens/s", "merged|merged_low|merged_high", BIG, True),
    Column("% of full", "merged_ratio|merged_ratio_low|merged_ratio_high", POINTS, True),
    Column("peak memory, MiB", "memory_mib", POINTS, True),
    Column("% of full", "memory_ratio|memory_ratio_low|memory_ratio_high", POINTS, True),
    Column("GFLOP of a step", "gflop", BIG, True),
    Column("by formula", "gflop_formula", BIG, True),
    Column("J per 1,000 tokens", "energy", BIG, True),
    Column("stored, kB", "stored_kb", POINTS, True),
    Column("deployed", "deployed", WHOLE, True),
    Column("CPU, %", "cpu_percent", WHOLE, True),
    Column("repeats", "repeats", WHOLE, True),
    Column("missing", "missing", WHOLE, True),
]
COSTS = [
    BACKBONE,
    METHOD,
    MATCHES,
    TRAINABLE,
    PERCENT,
    Column("effective", "effective", WHOLE, True),
    Column("deployed", "deployed", WHOLE, True),
    Column("touched", "touched", WHOLE, True),
    Column("rank", "rank", WHOLE, True),
    Column("stored", "stored", WHOLE, True),
    Column("head", "head_parameters", WHOLE, True),
    Column("train tokens/s", "train_tokens_per_s", BIG, True),
    Column("inference tokens/s", "inference_tokens_per_s", BIG, True),
    Column("peak memory, MiB", "memory", WHOLE, True),
    Column("energy, kJ", "energy", BIG, True),
    Column("train, s", "train_s", POINTS, True),
    Column("evaluate, s", "evaluate_s", POINTS, True),
]
SIDE_BY_SIDE = [
    Column("quantity", "quantity", text),
    Column("backbone", "backbone", text),
    TASK,
    METHOD,
    Column("budget of", "match", text),
    Column("%", "percent", significant(2), True),
    Column("paper's %", "paper_percent", significant(2), True),
    Column("ours", "ours|low|high", BIG, True),
    Column("paper", "paper", BIG, True),
    Column("to", "paper_high", BIG, True),
    Column("difference", "difference", SIGNED, True),
    Column("within noise", "within_noise", text),
    Column("known cause", "cause", text),
]


def table2_columns(tasks: list[str]) -> list[Column]:
    """The columns of table 2, which has one for each task."""
    scores = (Column(task, f"{task}|{task} low|{task} high", POINTS, True) for task in tasks)
    return [BACKBONE, METHOD, MATCHES, PERCENT, *scores]
