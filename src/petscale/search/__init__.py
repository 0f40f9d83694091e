"""Search for parameter thresholds: a posterior over monotone curves, and the budgets to train next."""
