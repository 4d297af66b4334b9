"""Programs for a few questions, which are compiled quickly and not with care."""

import functools

import jax

Options = dict[str, str | bool | int | float]

# Matrix products are library calls on a CPU; what this leaves slow is little.
_QUICK: Options = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
# Names that are XLA's own affair: a quarter of the time that `_QUICK` alone leaves.
_QUICKER: Options = _QUICK | {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


@functools.cache
def quick_options() -> Options | None:
    """Options of `jax.jit` that spend less on optimising programs: for a few questions."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=_QUICKER).lower().compile()
    except jax.errors.JaxRuntimeError:  # another version, which has no such option any more
        return _QUICK
    return _QUICKER
