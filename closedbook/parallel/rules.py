"""Which mesh axis each logical axis is split over, as in T5X's partitioning.py."""

from closedbook.errors import UserError

Rules = tuple[tuple[str, str | None], ...]


def standard_logical_axis_rules(
    *, activation_partitioning_dims: int = 1, parameter_partitioning_dims: int = 1
) -> Rules:
    """Rules for a (data, model) mesh.

    Batches are always split over `data`; heads, feed-forward width and vocabulary over `model`.

    Args:
        activation_partitioning_dims: 2 also splits the activations' emb axis over `model`.
        parameter_partitioning_dims: 2 also splits parameters and optimiser state over `data`
            (fully sharded data parallelism).
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
    return tuple(rules)
