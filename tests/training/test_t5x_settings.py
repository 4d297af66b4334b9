"""Settings of T5X's files: what is saved and read, how long answers are, who answers which."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.checkpoints import open_checkpoint, steps
from closedbook.data.cache_lookup import token_cache
from closedbook.errors import UserError
from closedbook.inference.settings import DecodeSettings
from closedbook.parallel import Partitioner
from closedbook.training import decoding, jobs, programs
from closedbook.training.settings import DatasetConfig, Evaluator, RestoreCheckpointConfig
from closedbook.training.state import rounded

ALONE = {"infer_eval_dataset_cfg": None, "train_eval_dataset_cfg": None}


@pytest.fixture
def questions(quiz) -> DatasetConfig:
    """Fifteen questions."""
    return DatasetConfig(
        mixture_or_task_name="loop_quiz",
        split="validation",
        task_feature_lengths=None,
        batch_size=4,
        cache_dir=str(quiz / "cache"),
    )


def test_steps_that_are_asked_for_are_saved_in_the_type_that_is_asked_for(run, tmp_path):
    save = {"period": None, "checkpoint_steps": [1, 3], "dtype": "bfloat16"}
    run(3, save=save, **ALONE)
    assert steps(tmp_path / "run") == [0, 1, 3]
    saved = open_checkpoint(tmp_path / "run" / "checkpoint_3").params
    assert {str(tensor.dtype) for tensor in saved.values()} == {"bfloat16"}
    result = run(4, save=save, **ALONE)
    assert (result.step, result.finished) == (4, True)


def test_rounding_keeps_the_type_and_loses_the_bits():
    params = {"w": jnp.asarray([1.0, 1.001, 3.14159], jnp.float32)}
    wanted = np.asarray(params["w"]).astype(jnp.bfloat16).astype(np.float32)
    same = rounded(params, None)
    assert same is params
    found = rounded(params, "bfloat16")["w"]
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, wanted)


def test_without_lengths_the_longest_question_and_answer_count(tiny, quiz, questions):
    cache = token_cache(
        "loop_quiz", "validation", vocabulary=tiny.vocabulary, cache_dir=quiz / "cache"
    )
    longest = {
        "inputs": max(len(cache.inputs(i)) for i in range(len(cache))),
        "targets": max(len(cache.targets(i)) for i in range(len(cache))),
    }
    assert programs.longest_of([cache]) == longest
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    beams = dataclasses.replace(tiny, decoding=decoding.beam_search(num_decodes=2))
    made = programs.predictor(beams, partitioner, questions, Evaluator(), [cache])
    assert made.settings == DecodeSettings(
        method="beam", num_beams=2, max_decode_length=longest["targets"]
    )
    short = dataclasses.replace(tiny, decoding=decoding.greedy(max_decode_len=2))
    made = programs.predictor(short, partitioner, questions, Evaluator(), [cache])
    assert made.settings == DecodeSettings(max_decode_length=2)
    own = DecodeSettings(max_decode_length=5)
    made = programs.predictor(beams, partitioner, questions, Evaluator(decode=own), [cache])
    assert made.settings == own


def test_shards_answer_every_question_once(run, tiny, questions, tmp_path):
    run(1, **ALONE)
    given = {
        "model": tiny,
        "dataset_cfg": questions,
        "restore_checkpoint_cfg": RestoreCheckpointConfig(path=str(tmp_path / "run")),
        "output_dir": str(tmp_path / "answers"),
        "partitioner": Partitioner(devices=tuple(jax.devices()[:1])),
    }
    (whole,) = jobs.infer(**given)
    parts = [jobs.infer(**given, shard_id=shard, num_shards=2)[0] for shard in (0, 1)]
    assert [path.name[-15:] for path in parts] == [".jsonl-00000-of-00002"[-15:], "-00001-of-00002"]
    rows = [[json.loads(line) for line in path.read_text().splitlines()] for path in parts]
    together = [row for pair in zip(rows[0], [*rows[1], None], strict=True) for row in pair if row]
    assert together == [json.loads(line) for line in whole.read_text().splitlines()]
    with pytest.raises(UserError, match=r"shard_id is 2 and infer.num_shards 2; give a shard from"):
        jobs.infer(**given, shard_id=2, num_shards=2)


def test_evaluation_takes_a_checkpoint_as_its_settings_say(run, tiny, questions, tmp_path):
    run(1, **ALONE)
    path = str(tmp_path / "run")
    given = {
        "model": tiny,
        "dataset_cfg": questions,
        "output_dir": str(tmp_path / "out"),
        "partitioner": Partitioner(devices=tuple(jax.devices()[:1])),
    }
    for job in (jobs.evaluate, jobs.infer):
        scratch = RestoreCheckpointConfig(path=path, fallback_to_scratch=True)
        with pytest.raises(UserError, match="fallback_to_scratch is True, but evaluation and inf"):
            job(**given, restore_checkpoint_cfg=scratch)
        renamed = RestoreCheckpointConfig(
            path=path, assignment_map=[("target/decoder/decoder_norm/scale", "target/nothing")]
        )
        with pytest.raises(UserError, match="takes target/decoder/decoder_norm/scale from target/"):
            job(**given, restore_checkpoint_cfg=renamed)
    every = RestoreCheckpointConfig(path=path, mode="all")
    with pytest.raises(UserError, match="mode is 'all', but one checkpoint's answers are written"):
        jobs.infer(**given, restore_checkpoint_cfg=every)


def test_as_in_seqio_no_number_and_minus_one_are_all_examples():
    assert Evaluator(num_examples=-1) == Evaluator(num_examples=0) == Evaluator()


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"topk": 0, "temperature": 0.5}, {"method": "sample", "temperature": 0.5}),
        ({"topk": 0, "topp": 0.9}, {"method": "sample", "top_p": 0.9}),
        ({}, {"method": "sample", "top_k": 1}),
        ({"temperature": 0.0}, {"method": "greedy"}),
    ],
)
def test_sampling_has_t5xs_parameters(settings, wanted):
    found = decoding.temperature_sample(**settings).up_to(7)
    assert found == DecodeSettings(max_decode_length=7, **wanted)


def test_two_bounds_of_what_is_drawn_are_refused():
    with pytest.raises(UserError, match=r"topk 1 and topp 0\.9; give one of them"):
        decoding.temperature_sample(topp=0.9)
