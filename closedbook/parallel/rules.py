"""Which mesh axis each logical axis is split over, as in T5X's partitioning.py."""

from collections.abc import Sequence

from closedbook.errors import UserError

Rules = tuple[tuple[str, str | None], ...]


def standard_logical_axis_rules(
    *,
    activation_partitioning_dims: int = 1,
    parameter_partitioning_dims: int = 1,
    additional_rules: Sequence[tuple[str, str | None]] | None = None,
) -> Rules:
    """Rules for a (data, model) mesh.

    Batches are always split over `data`; heads, feed-forward width and vocabulary over `model`.

    Args:
        activation_partitioning_dims: 2 also splits the activations' emb axis over `model`.
        parameter_partitioning_dims: 2 also splits parameters and optimiser state over `data`
            (fully sharded data parallelism).
        additional_rules: Rules that come after these, and so count less.

    Raises:
        UserError: A number of dimensions is neither 1 nor 2, or a rule no pair of names.
    """
    for name, dims in (
        ("activation_partitioning_dims", activation_partitioning_dims),
        ("parameter_partitioning_dims", parameter_partitioning_dims),
    ):
        if dims not in (1, 2):
            raise UserError(f"{name} is {dims}; use 1 or 2")
    rules: list[tuple[str, str | None]] = [
        ("batch", "data"),
        ("vocab", "model"),
        ("mlp", "model"),
        ("heads", "model"),
        ("joined_kv", "model"),
    ]
    # Earlier rules win, and an array uses a mesh axis once: activations have a batch axis that
    # takes `data`, so ("embed", "data") splits parameters only.
    if activation_partitioning_dims == 2:
        rules.append(("embed", "model"))
    if parameter_partitioning_dims == 2:
        rules.append(("embed", "data"))
    rules += [(name, None) for name in ("embed", "length", "layers", "relpos_buckets")]
    for rule in additional_rules or ():
        if not _is_rule(rule):
            raise UserError(
                f"additional_rules has {rule!r}; a rule is a logical axis with 'data', 'model' or "
                "None, for example ('embed', 'data')"
            )
        rules.append((rule[0], rule[1]))
    return tuple(rules)


def _is_rule(rule: object) -> bool:
    if not isinstance(rule, tuple | list) or len(rule) != 2 or not isinstance(rule[0], str):
        return False
    return rule[1] in ("data", "model", None)
