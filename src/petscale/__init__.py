"""petscale: a reproducible study of how model scale changes parameter-efficient tuning."""

__version__ = "0.1.0"
