"""Data preparation: reads the rows of a task from their source and makes prepared splits and token arrays."""
