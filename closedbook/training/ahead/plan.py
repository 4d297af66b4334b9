"""What a training run will need: memory of a device, arithmetic, exchange, and whether it fits."""

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from closedbook.parallel import Partitioner
from closedbook.parallel.topologies import Topology
from closedbook.training import checks, programs, report
from closedbook.training.ahead.compiled import Compiled, compile_program
from closedbook.training.model import TransformerModel
from closedbook.training.settings import DatasetConfig, Evaluator, Trainer

_log = logging.getLogger(__name__)
SPARE = 0.05  # of a device's memory, left for the runtime and for other programs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides whether a run fits, and what `fit` looks for.

    Attributes:
        partitions: Devices that share one copy of the model.
        microbatches: Parts of a batch.
        remat_policy: What a layer computes again in the backward pass.
    """

    partitions: int
    microbatches: int
    remat_policy: str

    def bindings(self, model: TransformerModel) -> list[str]:
        """The gin bindings that set them."""
        return [
            f"network.{type(model.config).__name__}.remat_policy = {self.remat_policy!r}",
            f"trainer.Trainer.num_microbatches = {self.microbatches}",
            f"partitioning.PjitPartitioner.num_partitions = {self.partitions}",
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, compiled for a topology.

    Attributes:
        title: Of the model.
        topology: What it was compiled for.
        settings: That it has.
        batch_size: Rows of a batch.
        tokens: Of a batch, padding included.
        flops: The model's own arithmetic of a step, in FLOP; recomputation is not counted.
        mfu: The share of the devices' peak that the step's time assumes.
        memory_limit: Bytes of a device; None if they are not known.
        programs: Train step first.
    """

    title: str
    topology: Topology
    settings: Settings
    batch_size: int
    tokens: int
    flops: int
    mfu: float
    memory_limit: int | None
    programs: tuple[Compiled, ...]

    @property
    def step_seconds(self) -> float | None:
        """Of a step's arithmetic at the assumed share of the peak; None if that is not known."""
        kind = self.topology.kind
        if kind is None:
            return None
        return self.flops / (kind.peak_flops * len(self.topology.devices) * self.mfu)

    @property
    def busy(self) -> float:
        """The share of the peak at which the devices work at the assumed MFU, at most.

        Full rematerialisation runs each layer's forward pass once more, which MFU does not count:
        four passes' worth of products instead of three.
        """
        return self.mfu * (4 / 3 if self.settings.remat_policy == "full" else 1)

    @property
    def needed(self) -> int | None:
        """Bytes of the program that needs most; None if the compiler refuses one for its size."""
        if any(each.memory is None for each in self.programs):
            return None
        return max(each.memory.total for each in self.programs if each.memory is not None)

    @property
    def fits(self) -> bool | None:
        """Whether every program fits into a device, less `SPARE`; None if that is not known."""
        if self.needed is None:
            return False
        if self.memory_limit is None:
            return None
        return self.needed <= (1 - SPARE) * self.memory_limit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """The parts of a resolved configuration that programs are made of.

    Attributes:
        model: What is trained.
        train: The training data's batch size, lengths, packing.
        trainer: Learning rate and microbatches.
        partitioner: How arrays lie on devices.
        held_out: Of the held-out loss; None for none.
        questions: Of the evaluation by answers; None for none.
        evaluator: How questions are answered.
        use_hardware_rng: Draw dropout by the accelerator's generator.
    """

    model: TransformerModel
    train: DatasetConfig
    trainer: Trainer
    partitioner: Partitioner
    held_out: DatasetConfig | None = None
    questions: DatasetConfig | None = None
    evaluator: Evaluator = dataclasses.field(default_factory=Evaluator)
    use_hardware_rng: bool = False

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Run":
        """From the arguments of `loop.train`."""
        evaluated = bool(arguments.get("eval_period", 1))
        return cls(
            model=arguments["model"],
            train=arguments["train_dataset_cfg"],
            trainer=arguments.get("trainer") or Trainer(),
            partitioner=arguments.get("partitioner") or Partitioner(),
            held_out=arguments.get("train_eval_dataset_cfg") if evaluated else None,
            questions=arguments.get("infer_eval_dataset_cfg") if evaluated else None,
            evaluator=arguments.get("inference_evaluator") or Evaluator(),
            use_hardware_rng=bool(arguments.get("use_hardware_rng")),
        )

    @property
    def settings(self) -> Settings:
        """Those of the configuration."""
        return Settings(
            partitions=self.partitioner.num_partitions or 1,
            microbatches=self.trainer.microbatches,
            remat_policy=self.model.config.remat_policy,
        )

    def on(self, topology: Topology) -> "Run":
        """The same run with the number types that its model has on the devices of a topology.

        CPU devices stand in for others too, so that what a model names stays there.
        """
        platform = topology.devices[0].platform
        if platform == "cpu":
            return self
        return dataclasses.replace(self, model=self.model.on(platform))

    def changed(self, settings: Settings) -> "Run":
        """The same run with other settings."""
        config = dataclasses.replace(self.model.config, remat_policy=settings.remat_policy)
        module = self.model.module.clone(config=config)
        return dataclasses.replace(
            self,
            model=dataclasses.replace(self.model, module=module),
            trainer=dataclasses.replace(self.trainer, num_microbatches=settings.microbatches),
            partitioner=dataclasses.replace(
                self.partitioner, num_partitions=settings.partitions, model_parallel_submesh=None
            ),
        )


def precompile(
    *,
    model: TransformerModel,
    train_dataset_cfg: DatasetConfig,
    model_dir: str,
    partitioner: Partitioner | None = None,
    random_seed: int | None = None,
) -> Run:
    """What is compiled by T5X's mode of this name: a train step for a whole batch, nothing else.

    Args:
        model: What is trained.
        train_dataset_cfg: Batch size, lengths, packing.
        model_dir: Where T5X writes the program; nothing is written here.
        partitioner: How arrays lie on the devices.
        random_seed: Changes no program.
    """
    return Run(
        model=model,
        train=train_dataset_cfg,
        trainer=Trainer(),
        partitioner=partitioner or Partitioner(),
    )


def plan(
    run: Run,
    topology: Topology,
    *,
    mfu: float = 0.4,
    memory_limit: int | None = None,
    train_step_alone: bool = False,
    train_step: Compiled | None = None,
) -> Plan:
    """Compiles a run's programs for a topology.

    Args:
        run: From `Run.of`.
        topology: Of devices that need not be attached.
        mfu: The share of the devices' peak that the step's time assumes.
        memory_limit: Bytes of a device, instead of those of its data sheet.
        train_step_alone: Leaves the evaluations out.
        train_step: Compiled already.

    Raises:
        UserError: The batch does not split over the devices, or a program does not compile.
    """
    run = run.on(topology)
    partitioner = dataclasses.replace(run.partitioner, devices=topology.devices, backend=None)
    checks.check_batches(run.train, run.trainer, partitioner)
    if memory_limit is None and topology.kind is not None:
        memory_limit = topology.kind.memory
    lengths = run.train.lengths_of(run.model.converter.features)
    with partitioner.activate():
        made = [] if train_step is None else [train_step]
        for program in list(_programs(run, partitioner, train_step_alone))[len(made) :]:
            _log.info("compiling the %s for %s", program.name, topology.name)
            made.append(compile_program(program, topology.options))
        half = None if train_step_alone else _halved(run, partitioner)
        if half is not None:
            made[0] = made[0].with_growth(compile_program(half, topology.options))
    return Plan(
        title=run.model.config.title,
        topology=topology,
        settings=run.settings,
        batch_size=run.train.batch_size,
        tokens=run.train.batch_size * max(lengths.values()),
        flops=report.flops_of_step(run.model, run.train),
        mfu=mfu,
        memory_limit=memory_limit,
        programs=tuple(made),
    )


def _programs(
    run: Run, partitioner: Partitioner, train_step_alone: bool
) -> Iterator[programs.Program]:
    yield _train_step(run, partitioner, run.train)
    if train_step_alone:
        return
    if run.held_out is not None and run.held_out.task_feature_lengths:
        yield programs.held_out_loss(run.model, partitioner, run.held_out)
    if run.questions is not None:
        predictor = programs.predictor(run.model, partitioner, run.questions, run.evaluator)
        # The largest shape needs most; a run compiles the others as questions come.
        yield list(programs.answering(predictor, run.model, partitioner))[-1]


def _halved(run: Run, partitioner: Partitioner) -> programs.Program | None:
    """The train step for half of the rows; None where they do not split."""
    ways = 2 * run.trainer.microbatches * partitioner.mesh.shape["data"]
    if run.train.batch_size % ways:
        return None
    cfg = dataclasses.replace(run.train, batch_size=run.train.batch_size // 2)
    return _train_step(run, partitioner, cfg)


def _train_step(run: Run, partitioner: Partitioner, cfg: DatasetConfig) -> programs.Program:
    return programs.train_step(
        run.model, partitioner, cfg, run.trainer, use_hardware_rng=run.use_hardware_rng
    )
