"""The files of a cell (one training run): its result record, its lock, its state folder and its file of metrics."""
