"""What T5X's files may say that changes nothing here, or has another name.

A parameter of T5X that is in no table and that no constructor has is unknown, as any other.
"""

import dataclasses
from collections.abc import Sequence

from gin import config as gin_config


@dataclasses.dataclass(frozen=True)
class WithoutEffect:
    """A parameter that changes nothing.

    Attributes:
        name: Configurable and parameter; "*" for all parameters.
        why: Why it changes nothing, or what closedbook does instead.
        only: The values that change nothing, references written as in gin files; others are
            refused. None for any value.
    """

    name: str
    why: str
    only: Sequence[object] | None = None

    def accepts(self, value: object) -> bool:
        """Whether a value, as a gin file gives it, changes nothing."""
        return self.only is None or any(written(value) == written(each) for each in self.only)


_ONE_KIND = "closedbook has one kind"
_CLASSES = (
    ("train_script.train.trainer_cls", ("@trainer.Trainer",)),
    ("train_script.train.inference_evaluator_cls", ("@seqio.Evaluator", None)),
    ("train_script.train.get_dataset_fn", ("@utils.get_dataset", None)),
    (
        "train_script.train.train_eval_get_dataset_fn",
        ("@utils.get_training_eval_datasets", None),
    ),
    ("train_script.train.train_state_initializer_cls", ("@utils.TrainStateInitializer", None)),
    ("train_script.precompile.get_dataset_fn", ("@utils.get_dataset", None)),
    ("eval_script.evaluate.inference_evaluator_cls", ("@seqio.Evaluator", None)),
    ("eval_script.evaluate.training_evaluator_cls", (None,)),
    ("eval_script.evaluate.train_state_initializer_cls", ("@utils.TrainStateInitializer", None)),
    (
        "eval_script.evaluate.train_eval_get_dataset_fn",
        ("@utils.get_training_eval_datasets", None),
    ),
    ("infer_script.infer.train_state_initializer_cls", ("@utils.TrainStateInitializer", None)),
    ("infer_script.infer.write_fn", ("@infer_script.write_inferences_to_file", None)),
    ("infer_script.infer.merge_fn", ("@infer_script.merge_chunks_to_file", None)),
    ("models.EncoderDecoderModel.feature_converter_cls", ("@seqio.EncDecFeatureConverter", None)),
    ("utils.SaveCheckpointConfig.checkpointer_cls", ("@checkpoints.Checkpointer",)),
    (
        "utils.SaveCheckpointConfig.checkpoint_manager_cls",
        ("@checkpoints.OrbaxCheckpointManagerInterface",),
    ),
    ("utils.RestoreCheckpointConfig.checkpointer_cls", ("@checkpoints.Checkpointer",)),
    (
        "utils.RestoreCheckpointConfig.checkpoint_manager_cls",
        ("@checkpoints.OrbaxCheckpointManagerInterface",),
    ),
)
_ON_NAN = ["@trainer.TerminateOnNanAction()"]
_CONFIG_IS_WRITTEN = "config.gin is always written"
_ORBAX = "a run writes Orbax checkpoints, and reads every format"
_NO_HOST_PARAMETERS = "parameters lie on the devices"
_NO_TRANSFORMATION = "checkpoints are read and written as they are"
_NO_FALLBACK = "every parameter comes from the checkpoint"

WITHOUT_EFFECT = (
    *(WithoutEffect(name, _ONE_KIND, only) for name, only in _CLASSES),
    WithoutEffect("train_script.train.summarize_config_fn", _CONFIG_IS_WRITTEN),
    WithoutEffect("train_script.train.concurrent_metrics", "metrics do not hold up training"),
    WithoutEffect(
        "train_script.train.actions",
        "a loss that is not finite always stops a run, and nothing else does",
        (
            None,
            {},
            *(
                {mode: ["@trainer.TerminateOnNanAction()"]}
                for mode in ("TRAIN_EVAL", "TRAIN", "INFER_EVAL")
            ),
        ),
    ),
    WithoutEffect("train_script.train.use_orbax", _ORBAX),
    WithoutEffect(
        "train_script.train.verify_matching_vocabs_fn", "tasks take the model's vocabulary"
    ),
    WithoutEffect("train_script.train.gc_period", "Python collects garbage by itself"),
    WithoutEffect("eval_script.evaluate.summarize_config_fn", _CONFIG_IS_WRITTEN),
    WithoutEffect("eval_script.evaluate.use_orbax", _ORBAX),
    WithoutEffect("eval_script.evaluate.fallback_init_rng", _NO_FALLBACK, (None,)),
    WithoutEffect("infer_script.infer.summarize_config_fn", _CONFIG_IS_WRITTEN),
    WithoutEffect("infer_script.infer.use_orbax", _ORBAX),
    WithoutEffect("infer_script.infer.fallback_init_rng", _NO_FALLBACK, (None,)),
    WithoutEffect("infer_script.infer.merge_chunked_results", "chunks are always joined"),
    WithoutEffect("infer_script.infer.checkpoint_ds_iter", "a chunk names its examples"),
    WithoutEffect(
        "infer_script.infer.verify_matching_vocabs_fn", "tasks take the model's vocabulary"
    ),
    WithoutEffect("infer_script.infer.output_vocab_feature_name", _ONE_KIND, ("targets",)),
    WithoutEffect("infer_script.infer.file_extension", _ONE_KIND, ("jsonl",)),
    WithoutEffect("infer_script.infer.keep_aux", "mode predict_with_aux keeps it"),
    WithoutEffect("infer_script.infer.keep_aux_as_numpy", "JSON holds plain numbers", (False,)),
    WithoutEffect("utils.DatasetConfig.use_custom_packing_ops", "packing is closedbook's own"),
    WithoutEffect("utils.DatasetConfig.use_memory_cache", "examples come from the token cache"),
    WithoutEffect("utils.DatasetConfig.trim_output_features", "examples are trimmed", (True,)),
    WithoutEffect("utils.DatasetConfig.runtime_preprocessors", "it is AirIO's", (None,)),
    WithoutEffect("utils.DatasetConfig.num_prefetch_threads", "it is AirIO's"),
    WithoutEffect("utils.DatasetConfig.num_workers", "it is AirIO's"),
    WithoutEffect(
        "utils.SaveCheckpointConfig.save_dataset", "a checkpoint always holds the data's position"
    ),
    WithoutEffect(
        "utils.SaveCheckpointConfig.keep_dataset_checkpoints",
        "a checkpoint always holds the data's position",
    ),
    WithoutEffect(
        "utils.SaveCheckpointConfig.state_transformation_fns", _NO_TRANSFORMATION, ([], (), None)
    ),
    WithoutEffect(
        "utils.RestoreCheckpointConfig.state_transformation_fns", _NO_TRANSFORMATION, ([], (), None)
    ),
    WithoutEffect(
        "utils.RestoreCheckpointConfig.is_tensorflow", "formats are recognised by content"
    ),
    WithoutEffect("utils.RestoreCheckpointConfig.use_gda", "arrays are always global"),
    WithoutEffect(
        "utils.RestoreCheckpointConfig.restore_dataset",
        "a run goes on in its own data, and another run's checkpoint begins it",
        (False,),
    ),
    WithoutEffect("partitioning.PjitPartitioner.params_on_devices", _NO_HOST_PARAMETERS, (True,)),
    WithoutEffect("partitioning.PjitPartitioner.ici_mesh_shape", _ONE_KIND, (None,)),
    WithoutEffect("partitioning.PjitPartitioner.dcn_mesh_shape", _ONE_KIND, (None,)),
    WithoutEffect("partitioning.PjitPartitioner.use_gda", "arrays are always global"),
    WithoutEffect(
        "adafactor.Adafactor.logical_factor_rules",
        "T5's kernels have two axes, which T5X factors by size too",
        ("@adafactor.standard_logical_factor_rules()", None),
    ),
    WithoutEffect("adafactor.Adafactor.factor_map", _ONE_KIND, (None,)),
    WithoutEffect("adafactor.Adafactor.dtype_momentum", "momentum is float32", ("float32",)),
    WithoutEffect(
        "adafactor.Adafactor.skip_nan_updates", "a run stops where a gradient is not finite"
    ),
    WithoutEffect("adafactor.Adafactor.learning_rate", "the trainer's schedule counts", (None,)),
    WithoutEffect("models.EncoderDecoderModel.default_decoder_params", _ONE_KIND, (None,)),
    WithoutEffect(
        "models.EncoderDecoderModel.predict_batch_with_aux.return_all_decodes",
        "infer's mode predict_with_aux writes all beams",
    ),
    WithoutEffect(
        "models.EncoderDecoderModel.predict_batch_with_aux.decoder_params", _ONE_KIND, (None, {})
    ),
    WithoutEffect(
        "models.EncoderDecoderModel.predict_batch_with_aux.prompt_with_targets",
        "answers begin with nothing given",
        (False,),
    ),
    WithoutEffect(
        "network.T5Config.float32_attention_logits", "logits of attention are always float32"
    ),
    WithoutEffect("trainer.Trainer.weight_metrics_computer", "norms are always measured", (None,)),
    WithoutEffect("trainer.TerminateOnNanAction.*", "a loss that is not finite stops every run"),
    WithoutEffect("seqio.Evaluator.logger_cls", "all three kinds of file are always written"),
    WithoutEffect("seqio.Evaluator.use_memory_cache", "examples come from the token cache"),
    WithoutEffect("seqio.PyLoggingLogger.*", "scores are always logged"),
    WithoutEffect("seqio.TensorBoardLogger.*", "scores are always written"),
    WithoutEffect("gin_utils.summarize_gin_config.*", _CONFIG_IS_WRITTEN),
    WithoutEffect("gin_utils.get_gin_config_str.*", _CONFIG_IS_WRITTEN),
    WithoutEffect("seqio.SentencePieceVocabulary.reverse_extra_ids", "as in T5", (True, None)),
    WithoutEffect(
        "seqio.SentencePieceVocabulary.normalizer_spec_overrides_serialized", "as in T5", (None,)
    ),
)

RENAMED = {
    "models.EncoderDecoderModel.input_vocabulary": "models.EncoderDecoderModel.vocabulary",
    "models.EncoderDecoderModel.output_vocabulary": "models.EncoderDecoderModel.vocabulary",
    "models.EncoderDecoderModel.optimizer_def": "models.EncoderDecoderModel.optimizer",
    "seqio.JSONLogger.write_n_results": "seqio.Evaluator.write_n_results",
}
"""Parameters that have another name here."""

FORMER_NAMES = {
    "ModelBasedPartitioner": "PjitPartitioner",
    "ModelBasedPjitPartitioner": "PjitPartitioner",
}
"""Configurables of earlier versions of T5X, by the names that they have now."""

# Macros of T5X's files that may be given where no file that is read uses them.
MACROS = {
    "BATCH_SIZE",
    "CHECKPOINT_PATH",
    "DROPOUT_RATE",
    "EVALUATOR_NUM_EXAMPLES",
    "EVALUATOR_USE_MEMORY_CACHE",
    "EVAL_OUTPUT_DIR",
    "EVAL_PERIOD",
    "EVAL_STEPS",
    "INFER_OUTPUT_DIR",
    "INITIAL_CHECKPOINT_PATH",
    "JSON_WRITE_N_RESULTS",
    "LABEL_SMOOTHING",
    "LOSS_NORMALIZING_FACTOR",
    "MIXTURE_OR_TASK_MODULE",
    "MIXTURE_OR_TASK_NAME",
    "MODEL_DIR",
    "OPTIMIZER",
    "RANDOM_SEED",
    "SHUFFLE_TRAIN_EXAMPLES",
    "TASK_FEATURE_LENGTHS",
    "TRAIN_STEPS",
    "TRAIN_STEPS_RELATIVE",
    "USE_CACHED_TASKS",
    "USE_HARDWARE_RNG",
    "VOCABULARY",
    "Z_LOSS",
}


def rule_for(configurable: str, parameter: str) -> WithoutEffect | None:
    """The row of a parameter that has no effect, or None.

    Args:
        configurable: Its name, or the end of it, without "t5x.".
        parameter: The parameter.
    """
    for row in WITHOUT_EFFECT:
        owner, _, name = row.name.rpartition(".")
        if name in (parameter, "*") and ends_with(owner, configurable):
            return row
    return None


def renamed(configurable: str, parameter: str) -> str | None:
    """The name here of a parameter of T5X's, or None; arguments as for `rule_for`."""
    for theirs, ours in RENAMED.items():
        owner, _, name = theirs.rpartition(".")
        if name == parameter and ends_with(owner, configurable):
            return ours
    return None


def ends_with(whole: str, end: str) -> bool:
    """Whether a dotted name is another one, or ends with it after a dot.

    >>> ends_with("utils.DatasetConfig", "DatasetConfig"), ends_with("a.SaveConfig", "Config")
    (True, False)
    """
    return whole == end or whole.endswith(f".{end}")


def written(value: object) -> object:
    """A value with references as text, as in a gin file, lists for tuples."""
    if isinstance(value, dict):
        return {key: written(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [written(each) for each in value]
    if isinstance(value, gin_config.ConfigurableReference):
        text = repr(value)
        if text.startswith("@"):
            scopes = "/".join(value.scopes)
            name = value.configurable.selector.removeprefix("t5x.")
            return f"@{scopes + '/' if scopes else ''}{name}{'()' if value.evaluate else ''}"
        return text
    return str(value) if isinstance(value, Unknown) else value


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A reference to a configurable that is not registered, as a gin file has it."""

    name: str
    evaluate: bool

    def __str__(self) -> str:
        return f"@{self.name}{'()' if self.evaluate else ''}"
