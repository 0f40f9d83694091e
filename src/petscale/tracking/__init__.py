"""Tracking: what cells and studies left in `results/`, replayed into MLflow by one writer (design section 8).

trace: what the files say; store: what MLflow holds; send: make the second equal the first; verify: say where they
differ. Training imports none of this, and nothing here is read by the report.
"""
