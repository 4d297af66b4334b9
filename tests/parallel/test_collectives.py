"""Exchanged arrays, counted in programs whose exchange is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from closedbook.parallel.collectives import Collective, collectives

TPU = """\
HloModule jit_step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  ROOT %sum = f32[] add(%a, %b)
}

%scatter (p: bf16[64,128]) -> bf16[16,128] {
  %p = bf16[64,128]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %scattered = bf16[16,128]{1,0} reduce-scatter(%p), replica_groups=[2,4]<=[8]
}

%body.1 (arg: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  %arg = (s32[]{:T(128)}, bf16[8,128]{1,0}) parameter(0)
  %sum.1 = bf16[8,128]{1,0:T(8,128)(2,1)} all-reduce(%x), replica_groups=[2,4]<=[8], to_apply=%add
  ROOT %tuple = (s32[], bf16[8,128]) tuple(%i, %sum.1)
}

%condition.1 (arg: (s32[], bf16[8,128])) -> pred[] {
  %arg = (s32[]{:T(128)}, bf16[8,128]{1,0}) parameter(0)
  %bound = s32[]{:T(128)} constant(24)
  ROOT %less = pred[] compare(%i, %bound), direction=LT
}

ENTRY %main (p: bf16[64,128]) -> bf16[16,128] {
  %while.1 = (s32[]{:T(128)}, bf16[8,128]{1,0}) while(%t), condition=%condition.1, body=%body.1
  %begun = (bf16[8,128]{1,0}, bf16[64,128]{1,0}) all-gather-start(%g), replica_groups={{0,1,2,3}}
  %done = bf16[64,128]{1,0} all-gather-done(%begun)
  %collective-permute.1 = f32[4]{0} collective-permute(%q), source_target_pairs={{0,1},{1,0}}
  ROOT %fusion.1 = bf16[16,128]{1,0} fusion(%p), kind=kCustom, calls=%scatter
}
"""


def test_loops_fusions_and_asynchronous_operations_are_counted():
    assert collectives(TPU) == [
        Collective("all-reduce", 4, 24, 24 * 8 * 128 * 2),
        Collective("all-gather", 4, 1, 64 * 128 * 2),
        Collective("reduce-scatter", 4, 1, 64 * 128 * 2),
        Collective("collective-permute", 2, 1, 16),
    ]


def test_a_program_without_exchange_has_none():
    text = jax.jit(lambda x: x @ x).lower(jnp.ones((4, 4))).compile().as_text()
    assert collectives(text) == []


@pytest.fixture(scope="module")
def laid():
    """Makes an abstract float32 array, laid on a mesh of 2 x 4 devices."""
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)

    def make(shape, *axes):
        sharding = NamedSharding(mesh, PartitionSpec(*axes))
        return jax.ShapeDtypeStruct(shape, np.float32, sharding=sharding)

    return make


def test_a_product_over_a_split_axis_is_added_up_once_per_layer(laid):
    def layers(x, kernels):
        return jax.lax.scan(lambda x, kernel: (jnp.tanh(x @ kernel) @ kernel.T, None), x, kernels)

    x, kernels = laid((8, 32), "data", None), laid((6, 32, 64), None, None, "model")
    text = jax.jit(layers).lower(x, kernels).compile().as_text()
    # [8, 32] over two rows of devices: 4 x 32 float32 in each of six layers.
    assert collectives(text) == [Collective("all-reduce", 4, 6, 6 * 4 * 32 * 4)]


def test_gathering_a_split_array_is_seen(laid):
    whole = laid((64, 16)).sharding
    text = (
        jax.jit(lambda x: x, out_shardings=whole).lower(laid((64, 16), "model")).compile().as_text()
    )
    assert collectives(text) == [Collective("all-gather", 4, 1, 64 * 16 * 4)]
