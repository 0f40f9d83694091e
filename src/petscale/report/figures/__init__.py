"""Figures of the report: one module per experiment makes Vega-Lite charts from the tables of the analysis."""

from petscale.report.figures.figure import Figure

__all__ = ["Figure"]
