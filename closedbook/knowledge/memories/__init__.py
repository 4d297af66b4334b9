"""Feed-forward layers read as key-value memories (Geva et al. 2021, arXiv 2012.14913)."""
