"""Tasks for lm-evaluation-harness; the files beside this one are their configurations."""
