"""Corpora for pretraining, built from one's own text: documents, sentences, taggers, shards."""
