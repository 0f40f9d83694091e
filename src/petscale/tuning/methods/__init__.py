"""The tuning methods, with one short module for each; `catalogue` lists them."""
