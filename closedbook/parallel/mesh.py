"""The (data, model) mesh and how state and batches lie on it."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from closedbook.errors import UserError
from closedbook.parallel.rules import Rules, standard_logical_axis_rules


def several_devices() -> bool:
    """Whether what is traced now is split over the devices of an active mesh."""
    return jax.sharding.get_abstract_mesh().size > 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Partitioner:
    """Splits parameters over `model` and batches over `data`.

    Attributes:
        num_partitions: Devices that share one copy of the model; the rest split the batch.
        logical_axis_rules: Logical axis to mesh axis.
        devices: Of the mesh.
        model_parallel_submesh: T5X's (x, y, z, cores) instead of their product `num_partitions`.
            Which devices are neighbours is JAX's choice.
        backend: The kind of devices, for example "cpu"; JAX's first choice if None.
    """

    num_partitions: int | None = 1
    logical_axis_rules: Rules = dataclasses.field(default_factory=standard_logical_axis_rules)
    devices: tuple[jax.Device, ...] | None = None  # all devices of all processes if None
    model_parallel_submesh: tuple[int, ...] | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        if self.num_partitions is not None and self.num_partitions < 1:
            raise UserError(
                f"PjitPartitioner.num_partitions is {self.num_partitions}; use 1 or more"
            )
        partitions = self.num_partitions or 1
        if self.model_parallel_submesh:
            object.__setattr__(self, "model_parallel_submesh", tuple(self.model_parallel_submesh))
            if len(self.model_parallel_submesh) != 4:
                raise UserError(
                    f"PjitPartitioner.model_parallel_submesh is {self.model_parallel_submesh}, "
                    f"which has {len(self.model_parallel_submesh)} numbers; give the four of "
                    "(x, y, z, cores)"
                )
            product = math.prod(self.model_parallel_submesh)
            if partitions not in (1, product):
                raise UserError(
                    f"PjitPartitioner.num_partitions is {partitions}, model_parallel_submesh "
                    f"{self.model_parallel_submesh} has {product} devices; give one of the two"
                )
            partitions = product
        object.__setattr__(self, "num_partitions", partitions)

    @functools.cached_property
    def mesh(self) -> Mesh:
        """The mesh; axes are Auto, which Linen's logical constraints need.

        Raises:
            UserError: `num_partitions` does not divide the number of devices.
        """
        devices = self.devices or _devices(self.backend)
        assert self.num_partitions is not None
        if len(devices) % self.num_partitions:
            raise UserError(
                f"PjitPartitioner.num_partitions is {self.num_partitions}, which does not divide "
                f"the {len(devices)} devices; use one of "
                f"{[n for n in range(1, len(devices) + 1) if len(devices) % n == 0]}"
            )
        shape = (len(devices) // self.num_partitions, self.num_partitions)
        grid = mesh_utils.create_device_mesh(shape, devices=devices, allow_split_physical_axes=True)
        return Mesh(grid, ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto))

    @property
    def platform(self) -> str:
        """JAX's name for the kind of devices: "cpu", "gpu" or "tpu"."""
        return str(self.mesh.devices.flat[0].platform)

    def sharding(self, *axes: str | None) -> NamedSharding:
        """Sharding of an array with the given mesh axes."""
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def parameter_shardings(self, boxed: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Shardings of (abstract) parameters.

        An axis that the mesh axis does not divide is not split.

        Args:
            boxed: Parameters boxed with their logical axes, nested dicts.
            params: The same without boxes.

        Returns:
            A `NamedSharding` for each parameter, nested as they are.
        """
        specs = nn.logical_to_mesh(nn.get_partition_spec(boxed), self.logical_axis_rules)
        mesh = self.mesh

        def fit(x: jax.Array | jax.ShapeDtypeStruct, spec: PartitionSpec) -> NamedSharding:
            names = (*spec, *(None,) * (len(x.shape) - len(spec)))
            kept = [
                name if name is None or size % mesh.shape[name] == 0 else None
                for size, name in zip(x.shape, names, strict=True)
            ]
            return NamedSharding(mesh, PartitionSpec(*kept))

        return jax.tree.map(fit, params, specs)

    @contextlib.contextmanager
    def activate(self) -> Iterator[None]:
        """Makes the mesh and the rules current, for tracing and running jitted functions."""
        with jax.set_mesh(self.mesh), nn.logical_axis_rules(self.logical_axis_rules):
            yield

    def check_batch(self, batch_size: int, where: str) -> None:
        """Checks that a global batch can be split over `data`.

        Raises:
            UserError: It cannot.
        """
        ways = self.mesh.shape["data"]
        if batch_size % ways:
            raise UserError(
                f"{where} is {batch_size}, which does not split over {ways} data-parallel "
                f"devices; use a multiple of {ways}"
            )

    def own_rows(self, batch_size: int) -> range:
        """The rows of a global batch that this process lays on its devices.

        Where these lie apart, those between them too. Several processes may have the same ones.
        """
        indices = self._rows_sharding.addressable_devices_indices_map((batch_size,))
        spans = [index[0].indices(batch_size) for index in indices.values() if index]
        return range(min(start for start, _, _ in spans), max(stop for _, stop, _ in spans))

    def put_batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """A global batch of arrays [batch, ...], laid on the devices.

        Every process has arrays of that size; their rows outside of its `own_rows` are not read.
        """
        return {name: self.put_rows(rows) for name, rows in batch.items()}

    def put_rows(self, rows: np.ndarray) -> jax.Array:
        """An array [batch, ...] split over `data`; as in `put_batch`."""
        return jax.make_array_from_callback(
            rows.shape, self._rows_sharding, lambda index: rows[index]
        )

    def abstract_rows(self, *shape: int) -> jax.ShapeDtypeStruct:
        """What `put_rows` makes of int32 rows of a shape [batch, ...], without the rows."""
        return jax.ShapeDtypeStruct(shape, np.int32, sharding=self._rows_sharding)

    @functools.cached_property
    def _rows_sharding(self) -> NamedSharding:
        return self.sharding("data")


def _devices(backend: str | None) -> tuple[jax.Device, ...]:
    """All devices of a kind, or of JAX's first choice."""
    try:
        return tuple(jax.devices(backend))
    except RuntimeError as error:
        raise UserError(
            f"PjitPartitioner.backend is {backend!r}, and JAX finds no such devices "
            f"({str(error).splitlines()[0]}); leave it out, or give one of cpu, gpu, tpu"
        ) from error
