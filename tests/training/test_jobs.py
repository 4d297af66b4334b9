"""`t5x infer` in score mode: the ids of the cache are scored, not what a text gives back."""

import dataclasses
import io
import json
import math

import jax
import numpy as np
import pytest
import sentencepiece

from closedbook import whole_files
from closedbook.checkpoints import load_params, open_checkpoint
from closedbook.data.cache_lookup import token_cache
from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.eval.abstention import semantic_entropy
from closedbook.inference import DecodeSettings
from closedbook.parallel import Partitioner
from closedbook.tasks.own_files import qa_from_files
from closedbook.training import jobs
from closedbook.training.settings import DatasetConfig, Evaluator, RestoreCheckpointConfig
from closedbook.training.state import abstract_state
from closedbook.vocabulary import Vocabulary

ANSWERS = ["São Paulo", "a<b {c}", "paris"]
LENGTHS = {"inputs": 64, "targets": 16}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> Vocabulary:
    """Small letters alone; as in T5's own, what it lacks becomes the unknown piece."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox jumps over a lazy dog"] * 50),
        model_writer=model,
        model_type="char",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("letters") / "letters.model"
    path.write_bytes(model.getvalue())
    return Vocabulary(path)


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> DatasetConfig:
    """Questions whose answers have letters that the vocabulary lacks."""
    folder = tmp_path_factory.mktemp("odd")
    rows = [{"question": "where is it " + "so " * i, "answer": [a]} for i, a in enumerate(ANSWERS)]
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    qa_from_files({"odd_quiz": {"train": str(path), "validation": str(path)}})
    return DatasetConfig(
        mixture_or_task_name="odd_quiz",
        split="validation",
        task_feature_lengths=LENGTHS,
        batch_size=4,
        cache_dir=str(folder / "cache"),
    )


def test_scores_are_those_of_the_ids_not_of_the_decoded_text(run, tiny, vocabulary, odd, tmp_path):
    model = dataclasses.replace(tiny, vocabulary=vocabulary)
    data = dataclasses.asdict(dataclasses.replace(odd, split="train"))
    run(1, model=model, data=data, infer_eval_dataset_cfg=None, train_eval_dataset_cfg=None)
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    (path,) = jobs.infer(
        model=model,
        dataset_cfg=odd,
        restore_checkpoint_cfg=RestoreCheckpointConfig(path=str(tmp_path / "run")),
        output_dir=str(tmp_path / "scores"),
        partitioner=partitioner,
        mode="score",
    )
    scores = [json.loads(line)["score"] for line in path.read_text().splitlines()]
    wanted = abstract_state(model, partitioner).params
    params = load_params(open_checkpoint(tmp_path / "run"), wanted)
    forward = jax.jit(model.module.apply)

    def by_teacher_forcing(inputs: list[int], targets: list[int]) -> float:
        """The sum of the target ids' log-probabilities, by the network's own forward pass."""
        read, given = np.zeros((1, 64), np.int32), np.zeros((1, 16), np.int32)
        read[0, : len(inputs)], given[0, 1 : len(targets)] = inputs, targets[:-1]
        log_probs = jax.nn.log_softmax(forward({"params": params}, read, given)[0])
        return float(log_probs[np.arange(len(targets)), np.array(targets)].sum())

    cache = token_cache("odd_quiz", "validation", vocabulary=vocabulary, cache_dir=odd.cache_dir)
    assert len(scores) == len(cache) == len(ANSWERS)
    for index, answer in enumerate(ANSWERS):
        inputs, ids = cache.inputs(index).tolist(), cache.targets(index).tolist()
        again = [*vocabulary.encode_batch([vocabulary.decode(ids)])[0], 1]
        assert scores[index] == pytest.approx(by_teacher_forcing(inputs, ids), abs=1e-3)
        if answer == "paris":
            assert again == ids
        else:
            assert again != ids
            assert abs(scores[index] - by_teacher_forcing(inputs, again)) > 0.1


@pytest.mark.parametrize("last", ["write_text", "remove_folder"])
def test_answers_that_all_lie_there_are_joined_after_a_kill(
    vocabulary, odd, tmp_path, monkeypatch, last
):
    """Killed as the file that says so is written, or as the parts are removed."""
    cache = token_cache("odd_quiz", "validation", vocabulary=vocabulary, cache_dir=odd.cache_dir)
    asked = []

    class Predictor:
        def score_tokens(self, params, inputs, targets):
            asked.append(len(inputs))
            return [[float(len(each))] for each in inputs]

    job = jobs._Chunks(
        folder=tmp_path, cache=cache, mode="score", origin="a model", size=2, chosen=range(3),
        shard="00000-of-00001",
    )  # fmt: skip
    do = getattr(whole_files, last)

    def killed(path, *content):
        if last == "remove_folder" or path.name.endswith(".COMPLETED"):
            raise KeyboardInterrupt
        do(path, *content)

    with monkeypatch.context() as patch:
        patch.setattr(whole_files, last, killed)
        with pytest.raises(KeyboardInterrupt):
            job.run(Predictor(), {})
    for _ in range(2):
        target = job.run(Predictor(), {})
        assert len(target.read_text().splitlines()) == 3
        assert {each.name for each in tmp_path.iterdir()} == {
            target.name,
            f"{target.name}.COMPLETED",
        }
    assert asked == [2, 1]
    target.with_name(f"{target.name}.COMPLETED").unlink()  # whose answers are these?
    with pytest.raises(UserError, match="exists; give another INFER_OUTPUT_DIR"):
        job.run(Predictor(), {})


def test_a_checkpoint_is_not_asked_as_another_model(run, tiny, odd, tmp_path):
    run(1, infer_eval_dataset_cfg=None, train_eval_dataset_cfg=None)
    config = dataclasses.replace(tiny.config, mlp_activations=("gelu",))
    model = dataclasses.replace(tiny, module=type(tiny.module)(config))
    for job in (jobs.evaluate, jobs.infer):
        with pytest.raises(UserError, match=r"is \('gelu',\), the checkpoint's is \('relu',\)"):
            job(
                model=model,
                dataset_cfg=odd,
                restore_checkpoint_cfg=RestoreCheckpointConfig(path=str(tmp_path / "run")),
                output_dir=str(tmp_path / "answers"),
            )
    assert not (tmp_path / "answers").exists()


def test_beams_are_written_with_all_their_probabilities(run, tiny, vocabulary, odd, tmp_path):
    """What `closedbook calibrate` needs for the entropy of the answers' meanings."""
    model = dataclasses.replace(tiny, vocabulary=vocabulary)
    data = dataclasses.asdict(dataclasses.replace(odd, split="train"))
    run(1, model=model, data=data, infer_eval_dataset_cfg=None, train_eval_dataset_cfg=None)
    settings = DecodeSettings(method="beam", num_beams=3, alpha=0.6, max_decode_length=4)
    given = {
        "model": model,
        "dataset_cfg": odd,
        "restore_checkpoint_cfg": RestoreCheckpointConfig(path=str(tmp_path / "run")),
        "output_dir": str(tmp_path / "beams"),
        "partitioner": Partitioner(devices=tuple(jax.devices()[:1])),
        "inference_evaluator": Evaluator(decode=settings),
    }
    (path,) = jobs.infer(**given, mode="predict_with_aux", config_text="# infer")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    inferred = [line["aux"]["beams"] for line in lines]
    # T5X's folder: the answers, what says that they are whole, and what made them.
    assert path.name == "odd_quiz-predict_with_aux.jsonl-00000-of-00001"
    assert {each.name for each in path.parent.iterdir()} == {
        path.name,
        f"{path.name}.COMPLETED",
        "config.gin",
        "model-info.txt",
    }
    assert (path.parent / "config.gin").read_text() == "# infer"
    for line, answer in zip(lines, ANSWERS, strict=True):
        assert line["inputs"]["inputs_pretokenized"].startswith("question: where is it")
        assert line["inputs"]["targets_pretokenized"] == answer
        assert line["inputs"]["answers"] == [answer]
        penalties = [((5 + length) / 6) ** 0.6 for length in range(1, 5)]
        ratio = line["aux"]["log_probs"] / line["aux"]["scores"]
        assert min(abs(ratio - penalty) for penalty in penalties) < 1e-4
    assert any(line["aux"]["scores"] != line["aux"]["log_probs"] for line in lines)
    before = path.stat().st_mtime_ns
    assert jobs.infer(**given, mode="predict_with_aux") == [path]  # whole: not asked again
    assert path.stat().st_mtime_ns == before
    other = given | {"dataset_cfg": dataclasses.replace(odd, batch_size=2)}
    with pytest.raises(UserError, match="exists; give another INFER_OUTPUT_DIR"):
        jobs.infer(**other, mode="predict_with_aux")
    jobs.evaluate(**given, config_text="# eval")
    assert (tmp_path / "beams" / "config.gin").read_text() == "# eval"
    assert list((tmp_path / "beams" / "inference_eval" / "odd_quiz").glob("events.out.*"))
    text = (tmp_path / "beams" / "model-info.txt").read_text()
    assert text.splitlines()[0].startswith("Variable decoder/decoder_norm/scale ")
    assert "param_states" not in text
    [file] = (tmp_path / "beams" / "inference_eval").glob("*.predictions.jsonl")
    rows = predictions.read(file)
    entropies = semantic_entropy.all_of(rows)
    assert len(rows) == len(inferred) == len(ANSWERS)
    for row, beams, found in zip(rows, inferred, entropies, strict=True):
        assert row.extra["beams"] == beams
        assert beams["texts"][0] == row.prediction
        assert beams["log_probs"][0] == row.score
        assert 0 < sum(map(math.exp, beams["log_probs"])) <= 1
        others = model.module.vocab_size - 1
        assert beams["log_possible"] == pytest.approx(math.log(sum(others**n for n in range(5))))
        assert found.low <= found.value <= found.high
