"""What a cell leaves and where it stands: its record, its lock, its state folder and its metric spool."""
