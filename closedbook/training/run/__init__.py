"""A run that goes on: its parts, what it saves and evaluates, and what stops it."""
