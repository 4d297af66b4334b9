"""Hidden knowledge: what linear probes read in a model's states, beside what it says."""
