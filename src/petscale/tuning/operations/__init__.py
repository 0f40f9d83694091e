"""The operations by which a site changes its module, with one module for each (docs/mechanism.md has a table)."""
