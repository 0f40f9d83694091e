"""Searches: for parameter thresholds, by a posterior over monotone curves, and for learning rates."""
