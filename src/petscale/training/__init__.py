"""Training of one cell, from its specification to its result record."""
