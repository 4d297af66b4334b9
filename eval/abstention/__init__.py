"""Knowing what it does not know: when a model should not answer, and how sure it is.

`calibrating.calibrate` finds the threshold on a model's own score under which it should not answer,
with a guarantee; `semantic_entropy` says how many meanings its answers have, with bounds.
"""
