"""The options with which a study ran its methods, as lines for the report."""

from __future__ import annotations

import json

from petscale.analysis.study_plan import StudyPlan


def options_in_use(plan: StudyPlan) -> list[tuple[str, str]]:
    """Methods with options other than their defaults, in the order of the plan.

    Returns:
        Pairs of a method or variant, with its ladder if ladders differ, and its options as keys and values; a variant
        begins with its method. Plans of earlier versions say no options.
    """
    found: dict[str, dict[str, str]] = {}
    for cell in plan["cells"]:
        said = "; ".join(f"{key}: {_plain(value)}" for key, value in sorted(cell.get("options", {}).items()))
        parts = [*([f"variant of {cell['variant_of']}"] if cell.get("variant_of") else []), *([said] if said else [])]
        found.setdefault(cell["method"], {})[cell["ladder"]] = "; ".join(parts)
    lines = []
    for method, by_ladder in found.items():
        if len(set(by_ladder.values())) == 1:
            lines.append((method, next(iter(by_ladder.values()))))
        else:
            lines += [(f"{method} on {ladder}", said) for ladder, said in by_ladder.items()]
    return [(method, said) for method, said in lines if said]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
