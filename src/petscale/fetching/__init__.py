"""Provides the inputs of a study: downloads data sets and backbones, and makes the checked folder of each backbone."""
