"""What a train step will need and take, reckoned without a compiler."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from closedbook.parallel.devices import DeviceKind
from closedbook.parallel.programs_memory import bytes_on_a_device
from closedbook.parallel.topologies import Topology
from closedbook.training import report
from closedbook.training.ahead.plan import Run, Settings
from closedbook.training.state import abstract_state

# Of a device whose numbers are not known; only what is compared with each other depends on them.
_UNKNOWN = DeviceKind(peak_flops=200e12, memory=0, bandwidth=1e12, links=2e11)
_COMPUTED_AGAIN = {"none": 0.0, "full": 1.0}  # of a forward pass; of other policies the scores
_SCORES_AGAIN = 0.1
_SMALL = 512  # tokens of a microbatch on a device at which its products take twice their time


@dataclasses.dataclass(frozen=True, eq=False)
class Estimates:
    """Memory and time of a run's train step by its settings, to choose what is compiled.

    Attributes:
        run: Whose settings are changed.
        topology: Of the devices.
        mfu: The share of the devices' peak that products are assumed to reach.
    """

    run: Run
    topology: Topology
    mfu: float

    def needed(self, settings: Settings, correction: float = 1.0) -> int:
        """Bytes on one device: state, gradients, and what the backward pass keeps.

        Args:
            settings: Of the run.
            correction: Of all but the state, from a program that was compiled.
        """
        held = self.held(settings)
        return held + round(correction * self.temporaries(settings))

    @property
    def usual_correction(self) -> float:
        """Of a kind of device, where nothing is compiled yet.

        T5-11B's step took 1.29 times what is reckoned here on a v5p, which lays arrays out in
        tiles, and 0.94 times on an H200.
        """
        return 1.3 if self.topology.devices[0].platform == "tpu" else 1.0

    def held(self, settings: Settings) -> int:
        """Bytes of parameters and optimiser state on one device."""
        return sum(self._sizes(settings.partitions))

    def least(self, settings: Settings) -> int:
        """Bytes that no settings save: of the state and of gradients."""
        parameters, _ = self._sizes(settings.partitions)
        return self.held(settings) + parameters

    def temporaries(self, settings: Settings) -> int:
        """Bytes of gradients, their sum over microbatches, and what the backward pass keeps."""
        gradients, _ = self._sizes(settings.partitions)
        summed = gradients if settings.microbatches > 1 else 0
        rows = self._rows(settings)
        kept = self._kept(settings.remat_policy, settings.partitions)
        layers = max(stack.layers for stack in self.run.model.config.stacks.values())
        of_a_layer = self._kept("none", settings.partitions) / layers
        return round(gradients + summed + rows * (kept + 2 * of_a_layer))

    def seconds(self, settings: Settings) -> float:
        """Of a step: products, memory that each microbatch moves, and exchange, one by one.

        It orders settings and is no forecast: exchange that hides behind products is counted.
        """
        kind = self.topology.kind or _UNKNOWN
        devices = len(self.topology.devices)
        flops = report.flops_of_step(self.run.model, self.run.train)
        again = 1 + _COMPUTED_AGAIN.get(settings.remat_policy, _SCORES_AGAIN) / 3
        small = 1 + _SMALL / max(self._rows(settings) * self._longest, 1)
        products = flops * again * small / (kind.peak_flops * devices * self.mfu)
        parameters, _ = self._sizes(settings.partitions)
        # Read forward and backward, gradients written, added and written again.
        moved = settings.microbatches * 5 * parameters / kind.bandwidth
        exchanged = 0.0
        if settings.partitions < devices:
            exchanged += 2 * parameters
        if settings.partitions > 1:
            exchanged += self._exchanged_in_layers(settings)
        return products + moved + exchanged / (kind.links / 2)

    def _exchanged_in_layers(self, settings: Settings) -> float:
        """Bytes of residual streams that the devices of a partition add up, in a whole step."""
        rows = self._rows(settings) * settings.microbatches
        config = self.run.model.config
        width = config.emb_dim * np.dtype(np.float16).itemsize
        # Each attention and feed-forward, forward and backward (and again); a sum takes two passes.
        times = 2 * (2 + _COMPUTED_AGAIN.get(settings.remat_policy, _SCORES_AGAIN))
        layers = sum(stack.layers for stack in config.stacks.values())
        return times * 2.5 * layers * rows * self._longest * width

    @functools.cached_property
    def _longest(self) -> int:
        return max(self.run.train.lengths_of(self.run.model.converter.features).values())

    def _rows(self, settings: Settings) -> float:
        ways = len(self.topology.devices) // settings.partitions
        return self.run.train.batch_size / ways / settings.microbatches

    @functools.cache  # noqa: B019  (lives as long as a search)
    def _sizes(self, partitions: int) -> tuple[int, int]:
        """Bytes of parameters and of the optimiser's state on one device."""
        partitioner = dataclasses.replace(
            self.run.partitioner,
            devices=self.topology.devices,
            backend=None,
            num_partitions=partitions,
        )
        state = abstract_state(self.run.model, partitioner)
        return bytes_on_a_device(state.params), bytes_on_a_device(state.opt_state)

    @functools.cache  # noqa: B019
    def _kept(self, policy: str, partitions: int) -> float:
        """Bytes per row that the backward pass needs of the forward pass, on one device.

        The residual stream is whole on each device of a partition; heads, feed-forward and
        vocabulary are split.
        """
        width = self.run.model.config.emb_dim
        two, four = self._residuals(policy)

        def size(leaf: Any) -> float:
            whole = leaf.shape[-1:] == (width,)
            return leaf.size * leaf.dtype.itemsize / (1 if whole else partitions)

        return (sum(map(size, four)) - sum(map(size, two))) / 2

    @functools.cache  # noqa: B019
    def _residuals(self, policy: str) -> tuple[list[Any], list[Any]]:
        """Arrays that are kept for the backward pass of two rows, and of four."""
        run = self.run.changed(dataclasses.replace(self.run.settings, remat_policy=policy))
        model = run.model
        lengths = run.train.lengths_of(model.converter.features)
        shapes = model.converter.shapes(lengths, packed=run.train.pack)

        def kept(rows: int) -> list[Any]:
            batch = {name: jax.ShapeDtypeStruct((rows, n), np.int32) for name, n in shapes.items()}
            batch["decoder_loss_weights"] = jax.ShapeDtypeStruct(
                batch["decoder_target_tokens"].shape, np.float32
            )

            def backward(batch: Any) -> Any:
                key = jax.random.key(0)
                params = model.init_unboxed(key)
                return jax.vjp(lambda params: model.loss(params, batch, key)[0], params)[1]

            return jax.tree.leaves(jax.eval_shape(backward, batch))

        return kept(2), kept(4)
