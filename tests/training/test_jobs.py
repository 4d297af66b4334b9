"""`t5x infer` in score mode: the ids of the cache are scored, not what a text gives back."""

import json

import jax
import numpy as np
import pytest

from closedbook.checkpoints import load_params, open_checkpoint
from closedbook.data.build import token_cache
from closedbook.parallel import Partitioner
from closedbook.tasks.own_files import qa_from_files
from closedbook.training import jobs
from closedbook.training.settings import DatasetConfig, RestoreCheckpointConfig
from closedbook.training.state import abstract_state

ANSWERS = ["São Paulo", "a<b {c}", "Paris"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A task whose answers have pieces that the atlas's vocabulary lacks; their folder."""
    folder = tmp_path_factory.mktemp("odd")
    rows = [{"question": f"where is number {i}?", "answer": [a]} for i, a in enumerate(ANSWERS)]
    path = folder / "validation.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    qa_from_files({"odd_quiz": {"train": str(path), "validation": str(path)}})
    return folder


def _by_teacher_forcing(model, params, inputs, targets) -> float:
    """The log-probability of target ids, by the network's own forward pass."""
    given = np.array([[0, *targets[:-1]]])
    logits = model.module.apply({"params": params}, np.array([inputs]), given)
    log_probs = jax.nn.log_softmax(logits[0])
    return float(log_probs[np.arange(len(targets)), np.array(targets)].sum())


def test_scores_are_those_of_the_ids_not_of_the_decoded_text(run, tiny, odd, tmp_path):
    run(1, infer_eval_dataset_cfg=None, train_eval_dataset_cfg=None)
    lengths = {"inputs": 32, "targets": 16}
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    (path,) = jobs.infer(
        model=tiny,
        dataset_cfg=DatasetConfig(
            mixture_or_task_name="odd_quiz",
            split="validation",
            task_feature_lengths=lengths,
            batch_size=4,
            cache_dir=str(odd / "cache"),
        ),
        restore_checkpoint_cfg=RestoreCheckpointConfig(path=str(tmp_path / "run")),
        output_dir=str(tmp_path / "scores"),
        partitioner=partitioner,
        mode="score",
    )
    scores = [json.loads(line)["score"] for line in path.read_text().splitlines()]
    params = load_params(
        open_checkpoint(tmp_path / "run"), abstract_state(tiny, partitioner).params
    )
    cache = token_cache(
        "odd_quiz", "validation", vocabulary=tiny.vocabulary, cache_dir=odd / "cache"
    )
    assert len(scores) == len(cache) == len(ANSWERS)
    for index, answer in enumerate(ANSWERS):
        inputs, ids = cache.inputs(index).tolist(), cache.targets(index).tolist()
        text = tiny.vocabulary.decode(ids)
        again = [*tiny.vocabulary.encode_batch([text])[0], 1]
        assert scores[index] == pytest.approx(
            _by_teacher_forcing(tiny, params, inputs, ids), abs=1e-3
        )
        through_text = _by_teacher_forcing(tiny, params, inputs, again)
        if answer == "Paris":
            assert again == ids
        else:
            assert again != ids
            assert abs(scores[index] - through_text) > 0.1
