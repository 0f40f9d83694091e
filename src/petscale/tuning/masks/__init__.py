"""Masks, which say which entries of a tensor are trained: dense, adjacent or discrete (Su et al. section 5.1)."""
