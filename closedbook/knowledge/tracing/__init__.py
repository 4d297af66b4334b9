"""Where a fact sits: causal tracing (Meng et al. 2022) in every stack of a model, and lenses."""
