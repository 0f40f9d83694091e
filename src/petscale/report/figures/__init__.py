"""Figures: from tables of the analysis to Vega-Lite charts, one file an experiment."""

from petscale.report.figures.figure import Figure

__all__ = ["Figure"]
