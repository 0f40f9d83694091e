"""Rows of a task from their source to prepared splits and token arrays."""
