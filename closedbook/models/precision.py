"""Number types of a model, and products of matrices whose factors are narrower than their sums."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint

from closedbook.models import fastest_products

_log = logging.getLogger(__name__)
# In which a model may compute; the last is XLA's name for bfloat16 factors of float32 products.
OPERANDS = "bf16_bf16_f32"
DTYPES = ("float32", "bfloat16", OPERANDS)
AUTO = "auto"  # whichever the machine at hand is fastest at
CHOICES = (*DTYPES, AUTO)  # of a model's configuration
# Flags of processors with instructions for products of bfloat16; the last is ARM's.
FAST_PRODUCTS = ("amx_bf16", "avx512_bf16", "bf16")
_WORTH = 1.05  # times as fast as float32 that narrow factors must be to be taken


@dataclasses.dataclass(frozen=True, kw_only=True)
class Precision:
    """The number types of a model.

    Attributes:
        parameters: Of parameters as they are stored and updated.
        compute: Of activations.
        operands: Of both factors of a matrix product, forward and backward; "" for those of
            `compute`. Narrower ones, as bfloat16 below float32, are added up in `compute`: what
            processors with bfloat16 products are fast at.
        accumulate: Of norms, attention logits, softmax and output logits.
    """

    parameters: str = "float32"
    compute: str = "float32"
    operands: str = ""
    accumulate: str = "float32"

    @classmethod
    def of(cls, dtype: str) -> "Precision":
        """The policy that a model's configuration names, one of `CHOICES`.

        Parameters and sums are float32 in all of them. "auto" is float32 until `dtype_on` has
        decided.
        """
        if dtype == OPERANDS:
            return cls(operands="bfloat16")
        return cls(compute="float32" if dtype == AUTO else dtype)

    @property
    def narrow(self) -> bool:
        """Whether factors of products are rounded to another type than activations have."""
        return self.operands not in ("", self.compute)


def dtype_on(dtype: str, platform: str, kernels: Sequence[tuple[int, int]]) -> str:
    """The member of `DTYPES` that a configuration's means on a platform; the log says why.

    "bfloat16" is what accelerators are fast at, and what "auto" means there. On a CPU XLA computes
    it by rounding each result, which is slower than float32. There both mean bfloat16 factors of
    float32 products if the processor has instructions for them and is faster with them in products
    of the model's own shapes, and else float32.

    Args:
        dtype: Of a model's configuration, one of `CHOICES`.
        platform: JAX's name of the devices, "cpu", "gpu" or "tpu".
        kernels: Shapes [in, out] of the model's products.
    """
    if platform != "cpu":
        if dtype == AUTO:
            _log.info("number types: bfloat16, as on every %s (dtype is 'auto')", platform)
        return "bfloat16" if dtype == AUTO else dtype
    if dtype == "float32":
        return dtype
    faster, why = _narrow_pays(kernels)
    if dtype == OPERANDS:  # asked for by its own name, and so taken; but not silently
        if not faster:
            _log.warning("number types: %s, which is slow here: %s", OPERANDS, why)
        return dtype
    taken = OPERANDS if faster else "float32"
    _log.info("number types: %s (dtype is %r): %s", taken, dtype, why)
    return taken


def _narrow_pays(kernels: Sequence[tuple[int, int]]) -> tuple[bool, str]:
    """Whether this processor is faster with bfloat16 factors than in float32, and why."""
    if not any(each in processor_features() for each in FAST_PRODUCTS):
        return False, "this processor has no instructions for bfloat16"
    narrow = functools.partial(contracted, "nk,km->nm", "bfloat16")
    taken = fastest_products.seconds(kernels, {"float32": jnp.dot, OPERANDS: narrow})
    ratio = taken["float32"] / taken[OPERANDS]
    return ratio >= _WORTH, (
        f"products of this model's shapes are {ratio:.2f} times as fast here with factors of "
        "bfloat16, added up in float32, as in float32"
    )


@functools.cache
def processor_features() -> frozenset[str]:
    """Flags of this machine's processor; none where the system does not tell them."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        flag
        for line in lines
        if line.startswith(("flags", "Features"))
        for flag in line.split(":")[1].split()
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def contracted(equation: str, operands: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """An einsum whose factors are rounded, and added up in the type that they have.

    So are those of its derivatives, which JAX would take in the narrow type.

    Args:
        equation: Of two factors; each index stands in exactly two of the three terms, or in all.
        operands: The type that factors are rounded to.
        a: The first factor.
        b: The second factor, of the same type.
    """
    narrow_a, narrow_b = a.astype(operands), b.astype(operands)
    return jnp.einsum(equation, narrow_a, narrow_b, preferred_element_type=a.dtype)


_Kept = tuple[jax.Array, jax.Array]


def _contracted(
    equation: str, operands: str, a: jax.Array, b: jax.Array
) -> tuple[jax.Array, _Kept]:
    # Both are kept narrow: half of the memory, and they need not be rounded again.
    return contracted(equation, operands, a, b), (a.astype(operands), b.astype(operands))


def _contracted_back(
    equation: str, operands: str, kept: _Kept, change: jax.Array
) -> tuple[jax.Array, jax.Array]:
    (first, second), result = equation.partition("->")[0].split(","), equation.partition("->")[2]
    narrow = change.astype(operands)
    a, b = kept
    wide = change.dtype
    of_a = jnp.einsum(f"{result},{second}->{first}", narrow, b, preferred_element_type=wide)
    if a.ndim == 2 and isinstance(narrow, jax.core.Tracer) and not _split():
        return of_a, _rows_times_rows(a, narrow, wide)
    return of_a, jnp.einsum(f"{first},{result}->{second}", a, narrow, preferred_element_type=wide)


def _split() -> bool:
    """Whether several devices share the arrays of an active mesh."""
    return jax.sharding.get_abstract_mesh().size > 1


def _rows_times_rows(a: jax.Array, b: jax.Array, wide: jnp.dtype) -> jax.Array:
    """[n, k] and [n, m] to [k, m], added up over n, as a kernel's gradient is.

    XLA takes twice as long for it on a CPU as for a product of the same size that adds up over
    columns (153 against 335 GFLOP/s in bfloat16), so the first is turned in memory before.
    """
    in_order = Layout(major_to_minor=(0, 1))
    turned, rows = with_layout_constraint(a.T, in_order), with_layout_constraint(b, in_order)
    out = jnp.einsum("kn,nm->km", turned, rows, preferred_element_type=wide)
    return with_layout_constraint(out, in_order)


contracted.defvjp(_contracted, _contracted_back)
