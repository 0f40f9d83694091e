"""Connects a study with files: reads study files and backbone folders, answers the Snakefile, reports cells' status."""
