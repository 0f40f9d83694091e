"""From a model and examples to scores with standard errors."""
