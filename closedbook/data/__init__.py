"""Batches out of tasks. Importing this, and opening a finished token cache, needs no TensorFlow."""
