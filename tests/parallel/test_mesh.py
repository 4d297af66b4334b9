"""The mesh as T5X's settings describe it, and rules that come after the standard ones."""

import jax
import pytest

from closedbook.errors import UserError
from closedbook.parallel import Partitioner, standard_logical_axis_rules


def test_a_submesh_stands_for_the_product_of_its_sizes():
    split = Partitioner(model_parallel_submesh=(2, 1, 1, 2), devices=tuple(jax.devices()[:8]))
    assert split == Partitioner(
        num_partitions=4, model_parallel_submesh=(2, 1, 1, 2), devices=tuple(jax.devices()[:8])
    )
    assert dict(split.mesh.shape) == {"data": 2, "model": 4}
    assert Partitioner(num_partitions=None).num_partitions == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_parallel_submesh": (1, 2)}, r"\(1, 2\), which has 2 numbers; give the four"),
        (
            {"model_parallel_submesh": (1, 1, 1, 2), "num_partitions": 4},
            "num_partitions is 4, model_parallel_submesh .* has 2 devices; give one",
        ),
    ],
)
def test_a_submesh_that_says_something_else_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Partitioner(**settings)


def test_devices_of_a_backend_are_taken_and_an_absent_one_is_named():
    assert Partitioner(backend="cpu").mesh.devices.size == jax.device_count("cpu")
    with pytest.raises(UserError, match="backend is 'tpu', and JAX finds no such devices"):
        _ = Partitioner(backend="tpu").mesh


def test_additional_rules_count_less_than_the_standard_ones():
    rules = standard_logical_axis_rules(additional_rules=[("experts", "model"), ("batch", None)])
    assert rules[: len(standard_logical_axis_rules())] == standard_logical_axis_rules()
    assert rules[-2:] == (("experts", "model"), ("batch", None))
    with pytest.raises(UserError, match=r"has \('a', 'b'\); a rule is a logical axis with"):
        standard_logical_axis_rules(additional_rules=[("a", "b")])
