"""All mistakes of a configuration are told at once, whatever hides which."""

import pytest

from closedbook.cli import gin_files
from closedbook.errors import UserError
from closedbook.tasks.atlas import VOCABULARY

FILES = ("t5x/examples/t5/t5_1_1/tiny.gin", "t5x/configs/runs/finetune.gin")
GIVEN = (
    "MIXTURE_OR_TASK_NAME = 'web_questions_open'",
    "TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}",
    "TRAIN_STEPS = 100",
    "INITIAL_CHECKPOINT_PATH = '/c'",
    f"VOCABULARY_FILE = {str(VOCABULARY)!r}",
)


def told(*bindings):
    with pytest.raises(UserError) as caught:
        gin_files.resolve("train", FILES, [*GIVEN, *bindings])
    head, *lines = str(caught.value).splitlines()
    return [line.removeprefix("- ") for line in lines] if lines else [head]


def test_wrong_names_do_not_hide_wrong_values():
    name, value = told("train.bogus = 1", "BATCH_SIZE = 4.5")
    assert name.startswith("train has no parameter 'bogus'")
    assert value == "utils.DatasetConfig.batch_size is 4.5; give a whole number"


def test_an_object_does_not_hide_those_around_it_and_beside_it():
    assert told(
        "network.T5Config.num_heads = None",
        "adafactor.Adafactor.decay_rate = None",
        "Z_LOSS = None",
        "utils.RestoreCheckpointConfig.mode = 'x'",
        "utils.SaveCheckpointConfig.dtype = 'int8'",
    ) == [
        "network.T5Config.num_heads is None; it needs a whole number",
        "adafactor.Adafactor.decay_rate is None; it needs a number",
        "models.EncoderDecoderModel.z_loss is None; it needs a number",
        "unknown RestoreCheckpointConfig.mode 'x'; valid: all, latest, specific",
        "unknown SaveCheckpointConfig.dtype 'int8'; valid: bfloat16, float16, float32",
    ]


def test_objects_that_t5x_needs_are_not_none():
    trainer, partitioner = told("train.trainer = None", "train.partitioner = None")
    assert trainer.startswith("train_script.train.trainer is None")
    assert "@partitioning.PjitPartitioner()" in partitioner


def test_a_label_smoothing_that_is_no_share_is_told():
    assert told("LABEL_SMOOTHING = 2") == [
        "the label smoothing is 2; it must be 0 or more and below 1"
    ]


def test_mistakes_of_one_object_stand_on_lines_of_their_own():
    assert told("BATCH_SIZE = 4.5", "train/utils.DatasetConfig.pack = 'yes'") == [
        "utils.DatasetConfig.batch_size is 4.5; give a whole number",
        "utils.DatasetConfig.pack is 'yes'; it needs True or False",
    ]
    assert told("MODEL_DIR = 3", "EVAL_PERIOD = 'never'") == [
        "train_script.train.model_dir is 3; it needs a text",
        "train_script.train.eval_period is 'never'; it needs a whole number",
    ]


def test_a_vocabulary_for_inputs_and_one_for_targets_are_told_apart():
    needs = "is None; it needs a vocabulary; bind @seqio.SentencePieceVocabulary() or "
    names = [f"models.EncoderDecoderModel.{side}_vocabulary" for side in ("input", "output")]
    found = told(*(f"{name} = None" for name in names))
    for name, message in zip(names, found, strict=True):
        assert message.startswith(f"{name} {needs}")
