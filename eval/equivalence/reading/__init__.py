"""Finds in a prediction what it asserts as the answer; see `reading.read`."""
