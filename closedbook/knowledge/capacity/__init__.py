"""How many bits of facts a model holds: a lower bound, by relation and in all, per parameter."""
