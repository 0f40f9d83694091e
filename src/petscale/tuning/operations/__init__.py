"""How a site changes its module: one file an operation, all of them in `registry` (docs/mechanism.md has the table)."""
