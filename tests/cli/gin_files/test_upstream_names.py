"""T5X's names: our files of its names carry its values, and its bindings are understood."""

import ast
import logging
import pathlib

import pytest

from closedbook.cli import gin_files
from closedbook.cli.gin_files import visible
from closedbook.cli.runs import modes
from closedbook.errors import UserError

MODEL = "t5x/examples/t5/t5_1_1/small.gin"
RUN = "t5x/configs/runs"
FINETUNE = [MODEL, f"{RUN}/finetune.gin"]


@pytest.fixture
def tuned(outside, resolved, required):
    """Fine-tuning by T5X's names, with further bindings."""
    return lambda *bindings: resolved("train", FINETUNE, *required["train"], *bindings)


def test_fine_tuning_has_t5xs_values(tuned):
    found = tuned()
    assert found["model.config.dropout_rate"] == 0.1
    assert found["model.vocabulary.extra_ids"] == 0
    assert found["model.decoding.settings.method"] == "beam"
    assert found["model.decoding.settings.num_beams"] == 1
    assert found["checkpoint_cfg.save.period"] == 5000
    assert found["checkpoint_cfg.restore.dtype"] == "float32"
    assert found["train_dataset_cfg.use_cached"]
    assert found["train_dataset_cfg.shuffle"]
    assert not found["train_eval_dataset_cfg.shuffle"]
    assert found["infer_eval_dataset_cfg.batch_size"] == 128
    assert found["infer_eval_dataset_cfg.task_feature_lengths"] is None
    assert found["trainer.learning_rate_fn at 500"] == pytest.approx(1e-3)
    assert tuned("BATCH_SIZE = 16")["infer_eval_dataset_cfg.batch_size"] == 16


def test_pretraining_has_t5xs_values_and_needs_dropout(outside, resolved, required):
    files, given = [MODEL, f"{RUN}/pretrain.gin"], required["train"][:3]
    with pytest.raises(UserError, match="macro DROPOUT_RATE is used but has no value"):
        resolved("train", files, *given)
    found = resolved("train", files, *given, "DROPOUT_RATE = 0.0")
    assert found["checkpoint_cfg.save.period"] == 1000
    assert found["infer_eval_dataset_cfg"] is None
    assert found["checkpoint_cfg.restore.path"] is None
    assert found["trainer.learning_rate_fn at 500"] == pytest.approx(0.01)


def test_evaluation_and_inference_have_t5xs_values(outside, resolved, required):
    scored = resolved("eval", [MODEL, f"{RUN}/eval.gin"], *required["eval"])
    assert (scored["dataset_cfg.split"], scored["dataset_cfg.batch_size"]) == ("test", 32)
    assert scored["model.decoding.settings.method"] == "beam"
    answered = resolved("infer", [MODEL, f"{RUN}/infer.gin"], *required["infer"])
    assert answered["restore_checkpoint_cfg.dtype"] == "bfloat16"
    assert (answered["checkpoint_period"], answered["num_shards"]) == (100, 1)


def test_the_order_of_model_and_run_file_does_not_matter(outside, resolved, required):
    both = [resolved("train", files, *required["train"]) for files in (FINETUNE, FINETUNE[::-1])]
    first, second = ({k: v for k, v in each.items() if k != "model_dir"} for each in both)
    assert first == second


OWN = """
from __gin__ import dynamic_registration

import __main__ as run
import seqio
import an_absent.package.of_tasks
from t5x import trainer
from t5x import utils as helpers
from t5x.examples.t5 import network as net

include 't5x/examples/t5/t5_1_1/small.gin'
include 't5x/configs/runs/finetune.gin'

MIXTURE_OR_TASK_NAME = 'mine'
TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}
TRAIN_STEPS = 1e6
INITIAL_CHECKPOINT_PATH = '/c'
run.train:
  trainer_cls = @trainer.Trainer
  eval_period = 7
train/helpers.DatasetConfig.use_custom_packing_ops = True
net.T5Config.emb_dim = 32
seqio.Evaluator.logger_cls = [@seqio.JSONLogger, @seqio.TensorBoardLogger]
"""


def test_names_that_a_file_gives_to_modules_are_followed(outside, resolved, caplog):
    (outside / "mine.gin").write_text(OWN)
    found = resolved("train", ["mine.gin"])
    assert found["eval_period"] == 7
    assert found["model.config.emb_dim"] == 32
    assert found["total_steps"] == 1_000_000
    assert isinstance(found["total_steps"], int)
    with caplog.at_level(logging.INFO):
        gin_files.log_without_effect()
    (record,) = caplog.records
    for name in ("train_script.train.trainer_cls", "seqio.Evaluator.logger_cls"):
        assert record.getMessage().count(name) == 1
    assert "utils.DatasetConfig.use_custom_packing_ops: packing is closedbook's" in record.message
    with pytest.raises(UserError, match=r"an_absent.*\(mine.gin, line 6\).*must be installed"):
        gin_files.start()


def test_a_module_of_the_users_is_imported_for_what_a_file_binds_in_it(outside, monkeypatch):
    monkeypatch.syspath_prepend(outside)
    (outside / "own_rates.py").write_text(
        "import gin\n\n\n@gin.configurable\ndef slow():\n    return lambda step: step * 0 + 0.25\n"
    )
    (outside / "mine.gin").write_text(
        OWN.replace("an_absent.package.of_tasks", "own_rates")
        + "\ntrainer.Trainer.learning_rate_fn = @own_rates.slow()\n"
    )
    arguments = gin_files.resolve("train", ["mine.gin"], [])
    assert float(arguments["trainer"].learning_rate_fn(3)) == 0.25
    assert "import own_rates" in gin_files.config_text()


def test_all_mistakes_are_told_at_once(outside, required):
    (outside / "mine.gin").write_text(
        f"include '{MODEL}'\ninclude '{RUN}/finetun.gin'\n"
        "network.T5Config.emb_dims = 3\nutils.DatasetCnfig.pack = True\n"
        "OPTIMIZER = @adafactor.Adafacto()\nfrom t5x.contrib.moe import models\n"
        "models.MoeEncoderDecoderModel.z_loss = 0\n"
        "utils.DatasetConfig.trim_output_features = False\n"
    )
    with pytest.raises(UserError) as caught:
        gin_files.resolve("train", ["mine.gin"], required["train"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "6 mistakes in the configuration:"
    for line, words in zip(
        lines[1:],
        (
            "unknown gin file 't5x/configs/runs/finetun.gin'; nearest: ",
            "no parameter 'emb_dims' (mine.gin, line 3)",
            "(mine.gin, line 4)",
            "'adafactor.Adafacto'; nearest: adafactor.Adafactor",
            "not mixtures of experts",
            "trim_output_features is False, which closedbook does not do",
        ),
        strict=True,
    ):
        assert words in line


HONOURED = """
BATCH_SIZE = 4.0 | train_dataset_cfg.batch_size | 4
TRAIN_STEPS = 2e6 | total_steps | 2000000
trainer.Trainer.num_microbatches = 0 | trainer.num_microbatches | 0
utils.SaveCheckpointConfig.checkpoint_steps = [1, 2] | checkpoint_cfg.save.checkpoint_steps | [1, 2]
train_script.train.infer_eval_dataset_cfg = None | infer_eval_dataset_cfg | None
utils.RestoreCheckpointConfig.path = [] | checkpoint_cfg.restore.path | None
train/DatasetConfig.shuffle = False | train_dataset_cfg.shuffle | False
seqio.JSONLogger.write_n_results = 5 | inference_evaluator.write_n_results | 5
PjitPartitioner.model_parallel_submesh = (2, 1, 1, 2) | partitioner.num_partitions | 4
seqio.SentencePieceVocabulary.extra_ids = 100 | model.vocabulary.extra_ids | 100
EncoderDecoderModel.predict_batch_with_aux.num_decodes = 4 | model.decoding.settings.num_beams | 4
decoding.beam_search.alpha = 0.0 | model.decoding.settings.alpha | 0.0
utils.RestoreCheckpointConfig.strict = False | checkpoint_cfg.restore.strict | False
partitioning.ModelBasedPartitioner.num_partitions = 2 | partitioner.num_partitions | 2
seqio.Evaluator.num_examples = -1 | inference_evaluator.num_examples | None
EncoderDecoderModel.decode_fn = @decoding.temperature_sample | model.decoding.settings.top_k | 1
network.T5Config.scale_attn_logits = True | model.config.scale_attn_logits | True
"""


@pytest.mark.parametrize("case", HONOURED.strip().splitlines())
def test_a_binding_of_t5xs_is_honoured(tuned, case):
    binding, name, value = case.split(" | ")
    assert tuned(binding)[name] == ast.literal_eval(value)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("BATCH_SIZE = 4.5", r"utils.DatasetConfig.batch_size is 4.5; give a whole number"),
        ("TRAIN_STEPS = 1.5", r"train_script.train.total_steps is 1.5; give a whole number"),
        ("BATCH_SIZE = True", r"batch_size is True; give a whole number"),
        ("T5Config.num_heads = 'a'", r"network.T5Config.num_heads is 'a'; it needs a whole number"),
        ("TRAIN_STEPS = '100'", r"total_steps is '100'; it needs a whole number"),
        ("USE_CACHED_TASKS = 'no'", r"use_cached is 'no'; it needs True or False"),
        ("BATCH_SIZE = [4]", r"batch_size is \[4\]; it needs a whole number"),
        ("MODEL_DIR = 3", r"model_dir is 3; it needs a text"),
        ("train.checkpoint_cfg = None", r"checkpoint_cfg is None; it needs a CheckpointConfig"),
        ("train.train_dataset_cfg = None", r"train_dataset_cfg is None; it needs a DatasetConfig"),
        ("MODEL = None", r"train_script.train.model is None; it needs a TransformerModel"),
        ("OPTIMIZER = None", r"EncoderDecoderModel.optimizer is None; it needs a"),
        ("train.trainer_cls = @trainer.EarlyStoppingAction", r"trainer_cls is @.*does not do"),
        ("train.actions = {'TRAIN': [@trainer.EarlyStoppingAction()]}", r"actions is .*not do"),
        ("utils.RestoreCheckpointConfig.mode = 'newest'", r"'newest'; .*specific"),
        ("utils.SaveCheckpointConfig.dtype = 'int8'", r"SaveCheckpointConfig.dtype 'int8'"),
        ("utils.SaveCheckpointConfig.period = -1", r"SaveCheckpointConfig.period is -1; give 0 or"),
        ("EVALUATOR_NUM_EXAMPLES = -2", r"Evaluator.num_examples is -2; give 1 or more"),
        ("JSON_WRITE_N_RESULTS = -1", r"Evaluator.write_n_results is -1; give 0 or more"),
        ("PjitPartitioner.model_parallel_submesh = (1, 1, 1)", r"has 3 numbers"),
        (
            "models.EncoderDecoderModel.input_vocabulary = @seqio.ByteVocabulary()",
            r"input_vocabulary is @seqio.ByteVocabulary\(\) and .*output_vocabulary is %VOCABULARY "
            r"\(.*shared.gin, line 13\).*; give both the same",
        ),
        (
            "models.EncoderDecoderModel.input_vocabulary = None",
            r"EncoderDecoderModel.input_vocabulary is None; it needs a vocabulary; bind @seqio",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(tuned, binding, message):
    with pytest.raises(UserError, match=f"(?s){message}"):
        tuned(binding)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("t5x/contrib/moe/configs/runs/finetune.gin", "not mixtures of experts"),
        ("t5x/examples/scalable_t5/t5_1_1/small.gin", "T5Config.scan_layers = True"),
        ("t5x/examples/decoder_only/models/base.gin", "not decoder-only models; take models/lm"),
        (f"{RUN}/export.gin", "exports no TensorFlow model"),
        (f"{RUN}/infer_from_tfexample_file.gin", "reads no files of tf.train.Example"),
    ],
)
def test_what_closedbook_has_not_gets_one_message(outside, file, message):
    with pytest.raises(UserError, match=message) as caught:
        gin_files.resolve("train", [file], [])
    assert "\n" not in str(caught.value)
    # In a checkout the file is there, and means no more.
    path = pathlib.Path(file)
    path.parent.mkdir(parents=True)
    path.write_text("import t5x.something\n")
    with pytest.raises(UserError, match=message):
        gin_files.resolve("train", [file], [])


def test_a_later_binding_takes_the_place_of_one_that_would_be_refused(tuned):
    refused = "train.actions = {'TRAIN': [@trainer.EarlyStoppingAction()]}"
    assert tuned(refused, "train.actions = {}") == tuned()


def test_an_optimiser_of_optax_has_two_names_in_t5x(tuned):
    rate = "{}.adamw.learning_rate = 0.5"
    first, second = (
        tuned(f"OPTIMIZER = @{module}.adamw()", rate.format(module))
        for module in ("optax", "optimizers")
    )
    assert first == second != tuned()
    with pytest.raises(UserError, match=r"unknown configurable 'adamw'; .*optax.adamw"):
        tuned("OPTIMIZER = @adamw()")


@pytest.mark.parametrize("mode", ["train", "eval", "infer"])
def test_a_run_without_a_run_file_is_one_message(outside, mode):
    with pytest.raises(UserError, match=r"has no model, .*configs/runs/\w+.gin\) and a model"):
        gin_files.resolve(mode, ["t5x/examples/t5/local_tiny.gin"], [])


# As gin writes the configuration of a run of T5X, and T5X its config.gin.
CONFIG = """from __gin__ import dynamic_registration
import __main__ as train_script
import seqio
from t5x import adafactor
from t5x import gin_utils
from t5x import models
from t5x import partitioning
from t5x import trainer
from t5x import utils
from t5x.examples.t5 import network

# Macros:
# ==============================================================================
BATCH_SIZE = 16
DROPOUT_RATE = 0.1
EVALUATOR_NUM_EXAMPLES = None
MODEL = @models.EncoderDecoderModel()
MODEL_DIR = '/m'
OPTIMIZER = @adafactor.Adafactor()
VOCABULARY = @seqio.SentencePieceVocabulary()

# Parameters for adafactor.Adafactor:
# ==============================================================================
adafactor.Adafactor.decay_rate = 0.8
adafactor.Adafactor.logical_factor_rules = \\
    @adafactor.standard_logical_factor_rules()

# Parameters for utils.CheckpointConfig:
# ==============================================================================
utils.CheckpointConfig.restore = @utils.RestoreCheckpointConfig()
utils.CheckpointConfig.save = @utils.SaveCheckpointConfig()

# Parameters for train/utils.DatasetConfig:
# ==============================================================================
train/utils.DatasetConfig.batch_size = %BATCH_SIZE
train/utils.DatasetConfig.mixture_or_task_name = 'mine'
train/utils.DatasetConfig.seed = None
train/utils.DatasetConfig.shuffle = True
train/utils.DatasetConfig.split = 'train'
train/utils.DatasetConfig.task_feature_lengths = {'inputs': 8, 'targets': 8}

# Parameters for models.EncoderDecoderModel:
# ==============================================================================
models.EncoderDecoderModel.input_vocabulary = %VOCABULARY
models.EncoderDecoderModel.module = @network.Transformer()
models.EncoderDecoderModel.optimizer_def = %OPTIMIZER
models.EncoderDecoderModel.output_vocabulary = %VOCABULARY

# Parameters for seqio.Evaluator:
# ==============================================================================
seqio.Evaluator.logger_cls = \\
    [@seqio.PyLoggingLogger, @seqio.TensorBoardLogger, @seqio.JSONLogger]
seqio.Evaluator.num_examples = %EVALUATOR_NUM_EXAMPLES

# Parameters for utils.RestoreCheckpointConfig:
# ==============================================================================
utils.RestoreCheckpointConfig.path = '/c'

# Parameters for seqio.SentencePieceVocabulary:
# ==============================================================================
seqio.SentencePieceVocabulary.sentencepiece_model_file = '/v'

# Parameters for network.T5Config:
# ==============================================================================
network.T5Config.dropout_rate = %DROPOUT_RATE

# Parameters for train_script.train:
# ==============================================================================
train_script.train.checkpoint_cfg = @utils.CheckpointConfig()
train_script.train.eval_period = 5
train_script.train.model = %MODEL
train_script.train.model_dir = %MODEL_DIR
train_script.train.partitioner = @partitioning.PjitPartitioner()
train_script.train.summarize_config_fn = @gin_utils.summarize_gin_config
train_script.train.total_steps = 100
train_script.train.train_dataset_cfg = @train/utils.DatasetConfig()
train_script.train.trainer_cls = @trainer.Trainer

# Parameters for network.Transformer:
# ==============================================================================
network.Transformer.config = @network.T5Config()
"""


def test_the_config_file_of_a_run_of_t5x_loads_and_ours_of_it_too(outside, resolved):
    (outside / "config.gin").write_text(CONFIG)
    found = resolved("train", ["config.gin"])
    assert (found["train_dataset_cfg.batch_size"], found["model_dir"]) == (16, "/m")
    (outside / "again.gin").write_text(gin_files.config_text())
    assert resolved("train", ["again.gin"]) == found


def test_macros_of_t5x_that_no_file_uses_are_listed_without_effect(outside, required, caplog):
    file = "t5x/examples/t5/t5_1_1/examples/base_wmt_eval.gin"
    arguments = gin_files.resolve("eval", [file], required["eval"])
    assert arguments["dataset_cfg"].task_feature_lengths is None
    with caplog.at_level(logging.INFO):
        gin_files.log_without_effect()
    assert "TASK_FEATURE_LENGTHS: no binding that counts refers to it" in caplog.text


def _cases(shared: pathlib.Path) -> list[str]:
    file = shared / "cases" / "training" / "t5x_bindings.txt"
    if not file.is_file():
        pytest.skip(f"{shared} holds no cases/training/t5x_bindings.txt")
    lines = file.read_text(encoding="utf-8").partition("# combinations")[0].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_usual_bindings_work_but_for_two_that_are_refused_by_name(outside, required, shared):
    cases, refused = _cases(shared), []
    for case in cases:
        mode, binding = case.split("\t")
        run = {"train": "finetune"}.get(mode, mode)
        try:
            files = [MODEL, f"{RUN}/{run}.gin"]
            arguments = gin_files.resolve(mode, files, [*required[mode], binding])
            visible.check_settings(mode, arguments)
            modes.plan(mode, arguments)
        except UserError as error:
            refused.append(f"{case}: {error}")
    assert len(cases) == 141
    for told, message in zip(
        refused,
        ("checkpoint_cfg is None; it needs a CheckpointConfig", "restore_dataset is True, which"),
        strict=True,
    ):
        assert message in told
