"""Names of tap sites follow from a config's stacks, whatever the family."""

import types

import pytest

from closedbook.errors import UserError
from closedbook.models import sites
from closedbook.models.sites import Stack, matching

ONE_STACK = types.SimpleNamespace(
    stacks={
        "decoder": Stack(
            2, ("attention.out", "mlp.out"), before=("embed", "embed_norm"), after=("final_norm",)
        )
    }
)


def test_sites_of_a_family_that_nobody_knows():
    assert sites(ONE_STACK) == (
        "decoder.embed",
        "decoder.embed_norm",
        "decoder.0.attention.out",
        "decoder.0.mlp.out",
        "decoder.1.attention.out",
        "decoder.1.mlp.out",
        "decoder.final_norm",
    )


def test_globs_name_sites_once_in_the_order_of_computing():
    found = matching(ONE_STACK, ("decoder.*.mlp.out", "*.[01].mlp.*", "decoder.embed"))
    assert [site.name for site in found] == [
        "decoder.embed",
        "decoder.0.mlp.out",
        "decoder.1.mlp.out",
    ]
    assert [(site.layer, site.local) for site in found[:2]] == [(None, "embed"), (0, "mlp.out")]


def test_a_glob_that_names_nothing_is_refused():
    with pytest.raises(UserError, match=r"unknown tap site 'encoder.\*.mlp.out'"):
        matching(ONE_STACK, ("encoder.*.mlp.out",))


def test_layers_count_beyond_nine_in_order():
    deep = types.SimpleNamespace(stacks={"decoder": Stack(12, ("mlp.out",))})
    assert [site.layer for site in matching(deep, ("decoder.*.mlp.out",))] == list(range(12))
