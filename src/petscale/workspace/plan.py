"""The plan document (plan.json): everything about a study that figures and tables need, known before any cell runs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from petscale import tasks as task_registry
from petscale.artefacts.canonical import digest
from petscale.artefacts.layout import Layout
from petscale.backbones.catalogue import lookup
from petscale.families.registry import lookup as lookup_family
from petscale.families.registry import total_parameters
from petscale.study.config import Hardware, Study
from petscale.study.counting import head_parameters, plan_of
from petscale.study.estimate import (
    Cost,
    estimate,
    estimate_measurement,
    estimate_transfer,
    row_tokens,
    rows_of,
    tokens_of,
)
from petscale.study.grid import Grid, PlannedCell, PlannedMeasurement, PlannedTransfer
from petscale.study.rates import RateSearch
from petscale.study.searches import Search


def plan_document(grid: Grid) -> dict[str, Any]:
    """The plan as plain data (see docs/analysis.md for its keys)."""
    study, layout = grid.study, Layout()
    costs = [cost_of(planned, study.hardware) for planned in grid.cells.values()]
    return {
        "study": study.name,
        "description": study.description,
        "digest": digest(study.model_dump(mode="json")),
        "settings": study.analysis.model_dump(mode="json"),
        "experiments": {name: e.model_dump(mode="json") for name, e in study.experiments.asked().items()},
        "ladders": [
            {
                "name": ladder.name,
                "family": grid.backbones[ladder.backbones[0]].shape.family,
                "backbones": [
                    {
                        "name": name,
                        "parameters": total_parameters(grid.backbones[name].shape),
                        "scale": grid.backbones[name].scale,
                        "display": name.rsplit("/", 1)[-1],
                    }
                    for name in ladder.backbones
                ],
            }
            for ladder in study.ladders
        ],
        "tasks": [_task(name) for name in study.tasks],
        "cells": [_cell(planned, cost, study) for planned, cost in zip(grid.cells.values(), costs, strict=True)],
        "transfers": [
            {
                "source": transfer.source.cell.path,
                "target": transfer.target.task,
                "path": layout.relative(layout.transfer(transfer.source.cell.path, transfer.target.task)),
            }
            for transfer in grid.transfers
        ],
        "searches": [
            _search(grid, path, search, study.hardware)
            for path, search in grid.searches.items()
            if isinstance(search, Search)
        ],
        "rate_searches": [
            _rate_search(grid, path, search, study.hardware)
            for path, search in grid.searches.items()
            if isinstance(search, RateSearch)
        ],
        "measurements": [_measurement(each, study.hardware) for each in grid.measurements.values()],
        "totals": totals(grid, costs),
        "inputs": inputs(grid),
    }


def totals(grid: Grid, costs: list[Cost]) -> list[dict[str, Any]]:
    """One row per backbone, with its cells and transfers and what they cost.

    A row has numbers and device-hours of cells and of transfers, the largest memory on one device, the most devices of
    a cell, and the disk space of the outputs.

    `fits` is False if a cell's estimate exceeds the memory of a device even on the most devices that the study allows.
    """
    rows: dict[str, dict[str, Any]] = defaultdict(
        lambda: {
            "cells": 0,
            "hours": 0.0,
            "transfers": 0,
            "transfer_hours": 0.0,
            "memory_gb": 0.0,
            "devices": 1,
            "disk_gb": 0.0,
        }
    )
    for planned, cost in zip(grid.cells.values(), costs, strict=True):
        row = rows[planned.backbone.name]
        row["cells"] += 1
        row["hours"] += cost.device_hours
        row["devices"] = max(row["devices"], cost.devices)
        row["memory_gb"] = max(row["memory_gb"], cost.memory / 1e9)
        row["disk_gb"] += cost.disk / 1e9
    for transfer in grid.transfers:
        cost = cost_of_transfer(transfer, grid.study.hardware)
        row = rows[transfer.source.backbone.name]
        row["transfers"] += 1
        row["transfer_hours"] += cost.device_hours
        row["disk_gb"] += cost.disk / 1e9
    return [
        {
            "backbone": name,
            "parameters": total_parameters(grid.backbones[name].shape),
            **{key: value if isinstance(value, int) else round(value, 3) for key, value in row.items()},
            "fits": row["memory_gb"] <= grid.study.hardware.memory_gb,
        }
        for name, row in rows.items()
    ]


def inputs(grid: Grid) -> dict[str, float]:
    """GB of the inputs of cells, which are stored once for all of them: backbones, rows and tokens.

    A backbone of the hub takes 4 bytes per parameter twice, as downloaded and as converted from a pickle. Other
    backbones take it once, and local folders are linked. Rows take about as much space as their tokens, 4 bytes each;
    rows of the hub take it again as downloaded.
    """
    backbones = rows = tokens = 0.0
    for backbone in grid.backbones.values():
        copies = 0 if backbone.weights == "folder" else 2 if lookup(backbone.name).source == "hub" else 1
        backbones += 4 * copies * total_parameters(backbone.shape)
    asked = [(p.backbone, p.cell.data, p.cell.labels) for p in grid.cells.values()]
    asked += [(t.source.backbone, t.target, t.source.cell.labels) for t in grid.transfers]
    asked += [(m.cell.backbone, m.cell.cell.data, m.cell.cell.labels) for m in grid.measurements.values()]
    for data in {data for _, data, _ in asked}:
        task = task_registry.lookup(data.task)
        rows += 4 * (2 if data.source == "hub" else 1) * rows_of(data, task).total * row_tokens(task)
    for _, family, data, _ in {(b.tokenizer, b.shape.family, data, labels) for b, data, labels in asked}:
        task = task_registry.lookup(data.task)
        tokens += 4 * rows_of(data, task).total * tokens_of(task, lookup_family(family))
    found = {"backbones_gb": backbones, "data_gb": rows, "tokens_gb": tokens}
    return {key: round(value / 1e9, 3) for key, value in found.items()}


def cost_of(planned: PlannedCell, hardware: Hardware) -> Cost:
    """Estimated cost of a planned cell on the study's hardware."""
    task = task_registry.lookup(planned.cell.task)
    trainable = plan_of(planned.cell, planned.backbone.shape).trainable
    return estimate(planned.cell, task, planned.backbone.shape, trainable, hardware)


def cost_of_transfer(transfer: PlannedTransfer, hardware: Hardware) -> Cost:
    """Estimated cost of a planned transfer on the study's hardware."""
    source, target = transfer.source, task_registry.lookup(transfer.target.task)
    return estimate_transfer(source.cell, transfer.target, target, source.backbone.shape, hardware)


def cost_of_measurement(planned: PlannedMeasurement, hardware: Hardware) -> Cost:
    """Estimated cost of a planned measurement on the study's hardware."""
    cell, shape = planned.cell.cell, planned.cell.backbone.shape
    trainable = plan_of(cell, shape).trainable
    return estimate_measurement(planned.measurement, task_registry.lookup(cell.task), shape, trainable, hardware)


def _task(name: str) -> dict[str, Any]:
    task = task_registry.lookup(name)
    return {
        "name": task.name,
        "kind": task.kind,
        "metric": task.metric,
        "classes": len(task.labels) if task.labels else None,
        "version": task.version,
    }


def _search(grid: Grid, path: str, search: Search, hardware: Hardware) -> dict[str, Any]:
    """A threshold search with its range, its rule, the cells that it has so far, and its cost in device-hours.

    `expected_cells` is what it needs without noise; a search costs at most `most_cells`. Cells are estimated at the
    largest budget, which is the dearest.
    """
    dearest = grid.dearest(path)
    cost = cost_of(dearest, hardware)
    hours = cost.device_hours
    return {
        **_place(path, dearest),
        "seeds": list(search.seeds),
        "smallest": search.smallest,
        "largest": search.largest,
        "factor": search.factor,
        "reading": search.reading,
        "rounds": search.rounds,
        "expected_cells": search.expected_cells,
        "most_cells": search.cells,
        "expected_hours": round(hours * search.expected_cells, 3),
        "most_hours": round(hours * search.cells, 3),
        "memory_gb": round(cost.memory / 1e9, 1),
        "fits": cost.memory <= hardware.memory_gb * 1e9,
        "found": _found(grid, path),
    }


def _rate_search(grid: Grid, path: str, search: RateSearch, hardware: Hardware) -> dict[str, Any]:
    """A search for a learning rate: the cells that try the rates, those that repeat the best one, and their cost.

    The tries are cells of the plan. `repeats` is how many cells more there are, known once all tries are done.
    """
    dearest = grid.dearest(path)
    repeats = len(search.seeds) - 1
    return {
        **_place(path, dearest),
        "budget": search.dearest.budget,
        "experiments": list(dearest.experiments),
        "matches": list(dearest.matches),
        "seeds": list(search.seeds),
        "rates": list(search.rates),
        "tries": list(search.references),
        "repeats": repeats,
        "repeat_hours": round(repeats * cost_of(dearest, hardware).device_hours, 3),
        "found": _found(grid, path),
    }


def _place(path: str, dearest: PlannedCell) -> dict[str, Any]:
    return {
        "search": path,
        "backbone": dearest.cell.backbone,
        "ladder": dearest.backbone.ladder,
        "scale": dearest.backbone.scale,
        "task": dearest.cell.task,
        "kind": dearest.kind,
        "method": dearest.name,
        "structure": dearest.mask_structure,
    }


def _found(grid: Grid, path: str) -> list[str]:
    return [cell for cell, planned in grid.cells.items() if planned.search == path]


def options_of(planned: PlannedCell, study: Study) -> dict[str, Any]:
    """What a reader must know of how a cell runs its method.

    These are the method's options, masters other than float32, and the recipe keys of a variant.
    """
    cell = planned.cell
    recipe = study.variants[planned.variant].recipe if planned.variant else {}
    return {**cell.options, **({} if cell.masters == "float32" else {"masters": cell.masters}), **recipe}


def _measurement(planned: PlannedMeasurement, hardware: Hardware) -> dict[str, Any]:
    measurement, cell, backbone = planned.measurement, planned.cell.cell, planned.cell.backbone
    layout, cost = Layout(), cost_of_measurement(planned, hardware)
    return {
        "measurement": measurement.path,
        "digest": measurement.digest,
        "path": layout.relative(layout.measurement(measurement.path)),
        "backbone": cell.backbone,
        "ladder": backbone.ladder,
        "scale": backbone.scale,
        "task": cell.task,
        "method": planned.cell.name,
        "seed": cell.seed,
        "trainable": plan_of(cell, backbone.shape).trainable,
        "total": total_parameters(backbone.shape),
        "hours": round(cost.device_hours, 4),
        "memory_gb": round(cost.memory / 1e9, 1),
        "fits": cost.memory <= hardware.memory_gb * 1e9,
    }


def _cell(planned: PlannedCell, cost: Cost, study: Study) -> dict[str, Any]:
    cell, backbone = planned.cell, planned.backbone
    plan = plan_of(cell, backbone.shape)
    return {
        "cell": cell.path,
        "digest": cell.digest,
        "backbone": cell.backbone,
        "ladder": backbone.ladder,
        "scale": backbone.scale,
        "task": cell.task,
        "kind": planned.kind,
        "method": planned.name,
        "variant_of": cell.method if planned.variant else None,
        "options": options_of(planned, study),
        "structure": planned.mask_structure,
        "budget": cell.budget,
        "match": planned.matches[0] if planned.matches else None,
        "matches": list(planned.matches),
        "seed": cell.seed,
        "mask_seed": cell.mask_seed,
        "learning_rate": cell.learning_rate,
        "labels": cell.labels,
        "head": cell.head,
        "control": backbone.control_of is not None,
        "control_of": backbone.control_of,
        "trainable": plan.trainable,
        "effective": plan.effective,
        "deployed": plan.deployed,
        # The plan leaves out mask seeds; where they move this number, only the records say it.
        "touched": None if plan.touches_by_seed else plan.touched,
        "rank": plan.rank,
        "head_parameters": head_parameters(cell, backbone.shape),
        "total": total_parameters(backbone.shape),
        "experiments": list(planned.experiments),
        "search": planned.search,
        "estimate": {
            "seconds": round(cost.seconds, 1),
            "memory": int(cost.memory),
            "disk": int(cost.disk),
            "devices": cost.devices,
        },
    }
