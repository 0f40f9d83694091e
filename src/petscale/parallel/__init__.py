"""Training of one cell in several processes, one per device, without changing what is trained or on which examples."""
