"""Slurm beneath Snakemake: one driver a folder, its jobs watched, what they ask for, what members of a job skip."""
