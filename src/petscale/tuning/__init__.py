"""Tuning methods: a method makes a plan, and one mechanism installs every plan in a model, saves it and removes it."""
