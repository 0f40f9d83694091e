"""Scoring: computes the scores of a model on examples, with standard errors."""
