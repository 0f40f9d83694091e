"""Support for running Snakemake on Slurm: one driver per folder, watching of its jobs, and their resource requests."""
