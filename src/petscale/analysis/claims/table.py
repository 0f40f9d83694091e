"""All claims on all ladders in both readings, in the order of the papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from petscale.analysis.claims import (
    budget,
    comparison,
    efficiency,
    faults,
    generalisation,
    performance,
    sensitivity,
    speed,
)
from petscale.analysis.claims.row import Claim, ClaimRow, Evidence, not_measurable
from petscale.analysis.readings import KNOWLEDGE, MEANING, READINGS
from petscale.analysis.study_plan import StudyPlan, with_sweeps
from petscale.analysis.verdict import DECIDED, INCONCLUSIVE, NOT_MEASURABLE, adjusted
from petscale.analysis.wording import interval_text, power_meaning, power_texts, value_text
from petscale.study.config.analysis import AnalysisSettings

Test = Callable[[Evidence, Claim], ClaimRow]

TESTS: tuple[tuple[Claim, Test], ...] = (
    (Claim("gap-shrinks", "Gaps among PET methods shrink with scale", "gaps.csv"), performance.gap_shrinks),
    (
        Claim("reach-full", "All PET methods reach full fine-tuning at the largest scale", "methods.csv"),
        performance.all_reach_full,
    ),
    (
        Claim("structure-less", "Module structure matters less with scale", "structure_gaps.csv"),
        performance.structure_matters_less,
    ),
    (
        Claim("speed-differs", "Structure still matters for convergence speed at the largest scale", "convergence.csv"),
        speed.structure_sets_speed,
    ),
    (
        Claim("adjacent-faster", "Adjacent converges faster than discrete", "convergence.csv"),
        speed.adjacent_is_faster,
    ),
    (Claim("high-falls", "The high threshold falls with scale", "threshold.csv"), budget.high_falls),
    (
        Claim("jump", "Just past the low threshold, most of full fine-tuning is reached", "threshold.csv"),
        budget.jump,
    ),
    (
        Claim("low-equal-methods", "The low threshold is about equal over methods on one backbone", "threshold.csv"),
        budget.low_equal_over_methods,
    ),
    (
        Claim("low-equal-tasks", "The low threshold is about equal over tasks on one backbone", "threshold.csv"),
        budget.low_equal_over_tasks,
    ),
    (Claim("low-rises", "The low threshold is higher on larger backbones", "threshold.csv"), budget.low_rises),
    (
        Claim("transfer-type", "Transfer within a task type beats transfer across types", "transfer.csv"),
        generalisation.within_beats_across,
    ),
    (
        Claim("transfer-scale", "Scale does not help transfer across types", "transfer.csv"),
        generalisation.scale_does_not_help,
    ),
    (
        Claim(
            "adapters-lora-reach",
            "Houlsby adapters and LoRA reach full fine-tuning at every size",
            "comparison.csv",
            ("full", "houlsby", "lora-qv", "lora-all"),
        ),
        comparison.adapters_and_lora_reach_full,
    ),
    (
        Claim(
            "pfeiffer-below",
            "Pfeiffer adapters score lower than Houlsby adapters at every size",
            "comparison.csv",
            ("houlsby", "pfeiffer"),
        ),
        comparison.pfeiffer_below_houlsby,
    ),
    (
        Claim("norms-competitive", "Tuning the norms alone is competitive", "comparison.csv", ("full", "ln-tuning")),
        comparison.norms_are_competitive,
    ),
    (
        Claim(
            "hybrids-rate-sensitive",
            "Hybrid methods are more sensitive to the learning rate than Houlsby adapters and LoRA",
            "rates.csv",
            ("full", *sensitivity.HYBRIDS, *sensitivity.EASY),
            needs="rates",
        ),
        sensitivity.hybrids_are_sensitive,
    ),
    (
        Claim(
            "adapters-slow-small",
            "Adapters slow the training of the smallest backbone",
            "efficiency.csv",
            ("full", "houlsby", "pfeiffer", "parallel-adapter", "compacter", "compacter-plus"),
            needs="efficiency",
            at="smallest",
        ),
        efficiency.adapters_slow_small,
    ),
    (
        Claim(
            "additive-slow-inference",
            "Additive methods slow inference at every size",
            "efficiency.csv",
            ("full", "houlsby", "pfeiffer", "parallel-adapter", "ia3", "prefix", "prefix-flat"),
            needs="efficiency",
        ),
        efficiency.additive_slow_inference,
    ),
    (
        Claim(
            "kronecker-memory",
            "Kronecker factors save no memory against LoRA at any size",
            "efficiency.csv",
            ("lora-qv", "lokr", "compacter"),
            (("lokr", "lora-qv"), ("compacter", "lora-qv")),
            needs="efficiency",
        ),
        efficiency.kronecker_saves_no_memory,
    ),
    (
        Claim(
            "shifted-prefix-below",
            "Prefixes that shift the distances of real tokens score lower at every size",
            "variants.csv",
            ("full", "prefix", "prefix-shifted", "prefix-flat", "prefix-flat-shifted"),
            (("prefix", "prefix-shifted"), ("prefix-flat", "prefix-flat-shifted")),
            by="positions",
        ),
        faults.first_above,
    ),
    (
        Claim(
            "bf16-masters-below",
            "Scales that are learned with bfloat16 masters score lower at every size",
            "variants.csv",
            ("full", "ia3-float32", "ia3-bfloat16", "parallel-float32", "parallel-bfloat16"),
            (("ia3-float32", "ia3-bfloat16"), ("parallel-float32", "parallel-bfloat16")),
            by="masters",
        ),
        faults.first_above,
    ),
)


def listed(plan: StudyPlan, settings: AnalysisSettings) -> list[Claim]:
    """The claims that a study lists: those of its settings, or all but those on methods that it does not compare."""
    compared = {
        "methods": {cell["method"] for cell in with_sweeps(plan)["cells"] if "methods" in cell["experiments"]},
        "efficiency": {each["method"] for each in plan.get("measurements", ())},
        "rates": {search["method"] for search in plan.get("rate_searches", ())},
    }
    claims = [claim for claim, _ in TESTS]
    if settings.claims is not None:
        return [claim for claim in claims if claim.id in settings.claims]
    return [claim for claim in claims if compared[claim.needs].issuperset(claim.about)]


def claims_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """One row per claim of the study, ladder and reading; the rows of one claim are together.

    Args:
        evidence: one for each ladder and reading.

    Returns:
        The rows, with `adjusted_p` after control of false discoveries over the rows of a reading.
    """
    by_ladder = [list(_rows(one)) for one in evidence]
    table = pd.DataFrame([row.columns() for same in zip(*by_ladder, strict=True) for row in same])
    return control_discoveries(table, evidence[0].settings) if len(table) else table


def control_discoveries(claims: pd.DataFrame, settings: AnalysisSettings) -> pd.DataFrame:
    """Make decided claims inconclusive whose p value, adjusted over the claims of their reading, is above the rate.

    Claims that are not measurable are no part of the family, since no result could have decided them.
    """
    parts = []
    for _, part in claims.groupby("reading", sort=False):
        family = part["verdict"] != NOT_MEASURABLE
        part = part.assign(adjusted_p=1.0)
        part.loc[family, "adjusted_p"] = adjusted(list(part.loc[family, "p"]), settings.discoveries.method)
        lost = part["verdict"].isin(DECIDED) & (part["adjusted_p"] > settings.discoveries.rate)
        said = " alone; inconclusive after control of false discoveries; "
        part.loc[lost, "detail"] = part.loc[lost, "verdict"] + said + part.loc[lost, "detail"]
        part.loc[lost, "verdict"] = INCONCLUSIVE
        parts.append(part)
    return pd.concat(parts).loc[claims.index]


def claims_markdown(claims: pd.DataFrame, power: pd.DataFrame) -> str:
    """The claims table as Markdown, for a README or a paper: both readings, statistic, interval and what is left out.

    Bounds carry their sign; an interval without a lower or an upper end says so in words. Without rows of `power` (of
    `power_table.power_table`) there is no column for it.
    """
    legend = [f"*{reading}*: {meaning}." for reading, meaning in MEANING.items()]
    legend += [f"*power*: {power_meaning(power)}."] if len(power) else []
    lines = [part for text in legend for part in (text, "")]
    chance, rule = ("power | ", "---: | ") if len(power) else ("", "")
    lines += [f"| claim | ladder | reading | verdict | statistic | value | interval | {chance}not counted, or why |"]
    lines += [f"| --- | --- | --- | --- | --- | ---: | --- | {rule}--- |"]
    for row, likely in zip(claims.to_dict("records"), power_texts(claims, power), strict=True):
        unit = f", {row['unit']}" if isinstance(row["unit"], str) and row["unit"] else ""
        statistic = f"{row['statistic']}{unit}" if isinstance(row["statistic"], str) and row["statistic"] else "–"
        cells = (
            row["claim"], row["ladder"], row["reading"], row["verdict"], statistic,
            value_text(row["value"], row["sign"]), interval_text(row["low"], row["high"]),
            *([likely] if len(power) else []), reason(row),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def decided_markdown(claims: pd.DataFrame) -> str:
    """The claims that are decided on a ladder in one reading at least, as Markdown.

    A line is a claim and a column a ladder. Where the readings differ, both verdicts are given, as published first.
    """
    ladders = list(dict.fromkeys(claims["ladder"]))
    decided = claims.groupby("claim", sort=False)["verdict"].transform(lambda v: v.isin(DECIDED).any())
    lines = [f"| claim | {' | '.join(ladders)} |", f"| --- |{' --- |' * len(ladders)}"]
    for claim, part in claims[decided].groupby("claim", sort=False):
        found = {key: str(row["verdict"].iloc[0]) for key, row in part.groupby(["ladder", "reading"], sort=False)}
        told = [list(dict.fromkeys(found[ladder, reading] for reading in READINGS)) for ladder in ladders]
        lines.append(f"| {claim} | {' | '.join(f'; {KNOWLEDGE}: '.join(verdicts) for verdicts in told)} |")
    return "\n".join(lines) + "\n"


def reason(row: dict[str, object]) -> str:
    """Why a row has no verdict, and which tasks do not count for it."""
    open_ = row["verdict"] in (INCONCLUSIVE, NOT_MEASURABLE)
    parts = [str(row[key]) for key, shown in (("detail", open_), ("not_counted", True)) if shown and row[key]]
    return "; ".join(part for part in parts if part and part != "nan") or "–"


def _rows(evidence: Evidence) -> Iterator[ClaimRow]:
    for claim, test in TESTS:
        if claim.id not in evidence.listed:
            continue
        obstacle = evidence.obstacles.get(claim.id)
        yield not_measurable(evidence, claim, obstacle) if obstacle else test(evidence, claim)
