"""Several processes for one cell, one on each device. What is trained, and on which examples, stays the same."""
