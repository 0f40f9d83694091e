"""One short file a method; petscale.tuning.registry lists them."""
