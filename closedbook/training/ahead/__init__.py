"""A run before it runs: its programs compiled for devices that need not be there."""
