"""Why a model gives an answer: a logit as a sum of what memories, heads and embeddings add."""
