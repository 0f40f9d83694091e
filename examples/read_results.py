"""Mean scores by task, backbone and method, their spread, and the best cell: `read_results.py results/mini`."""

import sys
from pathlib import Path

import pandas as pd

tables = Path(sys.argv[1]) / "tables"
cells = pd.read_csv(tables / "cells.csv").query("status == 'done' and not control and method != 'frozen'")
by_seed = cells.groupby(["backbone", "task", "method", "seed"])["score"].mean()
print(by_seed.groupby(["task", "backbone", "method"]).agg(["mean", "std", "count"]).round(1).to_string())
best = cells.loc[cells["score"].idxmax()]
print(f"\nbest cell: {best['cell']}\n{best['score']:.1f} points with {best['trainable']:,} trained parameters")
