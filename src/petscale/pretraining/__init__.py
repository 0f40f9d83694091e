"""Pre-training of the mini ladders on the generated language."""
