"""What is compiled for a run: the train step, the held-out loss, answers and scores.

Each program is made from shapes alone (model, mesh, lengths), so that it can be lowered and
compiled before there are parameters or data, and by another process than the one that runs it.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

import jax
import numpy as np

from closedbook.checkpoints.ctranslate2_folders import folder_of
from closedbook.data.cache import TokenCache
from closedbook.inference.ctranslate2_predictor import CTranslate2Predictor, opened
from closedbook.inference.predictor import Predictor
from closedbook.inference.settings import ENGINES
from closedbook.models.parameters import Params
from closedbook.parallel import Partitioner
from closedbook.parallel.processes import gather
from closedbook.parallel.programs_memory import FittingProgram
from closedbook.training.model import Batch, Sums, TransformerModel
from closedbook.training.settings import DatasetConfig, Evaluator, Trainer
from closedbook.training.state import TrainState, abstract_state, split_seed
from closedbook.training.step import TrainStep, make_eval_step, make_train_step

_LONGEST_INPUT = 512  # tokens; inputs are cut there without lengths
_LONGEST_ANSWER = 114  # target tokens of the paper; answers are cut there without lengths

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Tree = TypeVar("_Tree")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program(Generic[_Arguments, _Result]):
    """A function that is compiled once, and the shapes of its arguments.

    Attributes:
        name: For people, for example "train step".
        function: Jitted; a call compiles it if nobody has before.
        arguments: Trees of `jax.ShapeDtypeStruct` with shardings, like those it is called with.
    """

    name: str
    function: Callable[_Arguments, _Result]
    arguments: tuple[object, ...]

    def __call__(self, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        """Runs it."""
        return self.function(*args, **kwargs)

    def lower(self) -> jax.stages.Lowered:
        """The program for XLA; `.compile()` fills JAX's persistent cache.

        Call it where the mesh and the rules are current (`Partitioner.activate`).
        """
        return self.function.lower(*self.arguments)  # type: ignore[attr-defined]


def train_step(
    model: TransformerModel,
    partitioner: Partitioner,
    cfg: DatasetConfig,
    trainer: Trainer,
    *,
    use_hardware_rng: bool = False,
) -> Program[[TrainState, Batch, jax.Array], tuple[TrainState, Sums]]:
    """The step (state, batch, key) -> (state, sums); the state that goes in is given up.

    Args:
        model: What is trained.
        partitioner: How arrays lie on the devices.
        cfg: Of the training data: batch size, lengths, packing.
        trainer: Learning rate and microbatches.
        use_hardware_rng: The kind of key that dropout is drawn with.
    """
    model = model.lean(partitioner.platform)
    step = make_train_step(model, trainer.learning_rate_fn, trainer.microbatches)
    keys = functools.partial(split_seed, hardware_rng=use_hardware_rng)
    state = abstract_state(model, partitioner)
    # Without `formats` the state would come back in the order of its axes.
    formats = jax.tree.map(lambda x: x.format, state)
    jitted = compiled_step(step, partitioner.platform, formats)
    return Program(
        name="train step",
        function=FittingProgram(jitted, "train step"),
        arguments=(
            state,
            abstract_batch(model, cfg, partitioner),
            jax.eval_shape(keys, 0)[1],
        ),
    )


def compiled_step(step: TrainStep, platform: str, formats: Any | None = None) -> jax.stages.Wrapped:
    """A train step that XLA compiles for a platform; the state that goes in is given up.

    The state that comes back lies in `formats`, a tree like it; None leaves that to XLA.

    XLA drops the barriers of rematerialisation and of the optimiser on CPUs before it takes equal
    computations together, and so would keep what is meant to be worked out again.
    """
    options = {"xla_disable_hlo_passes": "cse_barrier_expander"} if platform == "cpu" else None
    return jax.jit(step, donate_argnums=0, out_shardings=(formats, None), compiler_options=options)


def held_out_loss(
    model: TransformerModel, partitioner: Partitioner, cfg: DatasetConfig
) -> Program[[Params, Batch], Sums]:
    """The function (parameters, batch) -> sums, without dropout.

    Args:
        model: What is trained.
        partitioner: How arrays lie on the devices.
        cfg: Of the held-out data.
    """
    return Program(
        name="held-out loss",
        function=FittingProgram(jax.jit(make_eval_step(model)), "held-out loss"),
        arguments=(
            abstract_state(model, partitioner).params,
            abstract_batch(model, cfg, partitioner),
        ),
    )


def abstract_batch(
    model: TransformerModel, cfg: DatasetConfig, partitioner: Partitioner
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and shardings of a batch: int32 [batch, length] under SeqIO's names."""
    converter = model.converter
    shapes = converter.shapes(cfg.lengths_of(converter.features), packed=cfg.pack)
    return {
        name: partitioner.abstract_rows(cfg.batch_size, length) for name, length in shapes.items()
    }


def predictor(
    model: TransformerModel,
    partitioner: Partitioner,
    cfg: DatasetConfig,
    settings: Evaluator,
    caches: Sequence[TokenCache] = (),
    *,
    between: Callable[[], None] = lambda: None,
    engine: str = "jax",
) -> Predictor:
    """What answers questions on the mesh and scores given answers.

    Args:
        model: Network and vocabulary.
        partitioner: How arrays lie on the devices.
        cfg: Of the questions: batch size and lengths.
        settings: How to decode.
        caches: The questions; without lengths the longest of their inputs and targets count, as
            in SeqIO.
        between: Called between batches; what it raises ends the answering.
        engine: What runs the network, one of `inference.settings.ENGINES`.
    """

    def fetched(results: _Tree) -> _Tree:
        between()
        return gather(results)

    lengths = cfg.task_feature_lengths or longest_of(caches)
    longest = lengths.get("targets", _LONGEST_ANSWER)
    ways = partitioner.mesh.shape["data"]
    decoding = settings.decode or model.decoding.up_to(longest)
    longest_input = lengths.get("inputs", _LONGEST_INPUT)
    if kind := ENGINES[engine]:
        return CTranslate2Predictor(
            model.module,
            model.vocabulary,
            opened=lambda params: opened(folder_of(model.config, params, kind)),
            settings=decoding,
            max_input_length=longest_input,
            batch_size=cfg.batch_size,
            between=between,
        )
    found = Predictor(
        model.module,
        model.vocabulary,
        settings=decoding,
        max_input_length=longest_input,
        batch_size=-(-cfg.batch_size // ways) * ways,
        batch_multiple=ways,
        place=partitioner.put_rows,
        fetch=fetched,
        # Elsewhere programs stay those that were foretold, and padding is cheap.
        packs=(partitioner.platform, partitioner.mesh.size) == ("cpu", 1)
        and not model.config.continues_prompt,
    )
    found.decode_function = FittingProgram(found.decode_function, "decoding of a batch")
    found.score_function = FittingProgram(found.score_function, "scoring of a batch")
    return found


def longest_of(caches: Sequence[TokenCache]) -> dict[str, int]:
    """Tokens of the longest inputs and targets, where there are any."""
    found: dict[str, int] = {}
    for feature in ("inputs", "targets"):
        offsets = [cache.flat(feature)[1] for cache in caches]
        longest = max((int(np.diff(each).max(initial=0)) for each in offsets), default=0)
        if longest:
            found[feature] = longest
    return found


def answering(
    predictor: Predictor, model: TransformerModel, partitioner: Partitioner
) -> Iterator[Program]:
    """The predictor's programs that decode, one for each shape of a batch of inputs.

    Args:
        predictor: From `predictor`.
        model: The same.
        partitioner: The same.
    """
    params = abstract_state(model, partitioner).params
    for rows, length in predictor.input_shapes():
        yield Program(
            name=f"answers to {rows} inputs of {length} tokens",
            function=predictor.decode_function,
            arguments=(
                params,
                partitioner.abstract_rows(rows, length),
                partitioner.abstract_rows(rows),
            ),
        )


def scoring(
    predictor: Predictor, model: TransformerModel, partitioner: Partitioner, longest: int
) -> Iterator[Program]:
    """The predictor's programs that score one given answer to each input.

    Args:
        predictor: From `predictor`.
        model: The same.
        partitioner: The same.
        longest: Tokens of the longest answer, EOS included.
    """
    params = abstract_state(model, partitioner).params
    for rows, length in predictor.input_shapes():
        for width in predictor.answer_lengths(longest):
            yield Program(
                name=f"scores of {width} tokens for {rows} inputs of {length}",
                function=predictor.score_function,
                arguments=(
                    params,
                    partitioner.abstract_rows(rows, length),
                    partitioner.abstract_rows(rows, 1, width),
                ),
            )
