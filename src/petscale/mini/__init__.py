"""The mini family: a generated language, its tasks, and ladders of backbones pre-trained on it."""
