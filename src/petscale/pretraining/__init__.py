"""Pre-training of the mini backbones on the generated language."""
