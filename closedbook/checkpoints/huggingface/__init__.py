"""Folders of Hugging Face transformers: configurations, names of parameters, tokenizers."""
