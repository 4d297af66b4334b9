"""Folders of sentences as tasks: for the token cache, for SeqIO, in gin files and in mixtures."""

import dataclasses
import json

import numpy as np
import pytest

from closedbook.cli import gin_files
from closedbook.corpora.shards import write_sentences
from closedbook.data import cache_lookup
from closedbook.errors import UserError
from closedbook.tasks import mixtures, own_files, specs
from closedbook.tasks.spans import own_sentences as span_files
from closedbook.tasks.spans import sentence_files
from closedbook.vocabulary.sentencepiece import Vocabulary

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own, at import


@pytest.fixture(scope="module")
def vocabulary(vocabulary_file):
    return Vocabulary(vocabulary_file)


@pytest.fixture(scope="module")
def folder(sentence, tmp_path_factory):
    """300 sentences of 100 titles in three shards; two of three have a span."""
    folder = tmp_path_factory.mktemp("sentences") / "folder"
    sentences = (
        sentence(f"Town {i} has {i} inhabitants.", *[f"Town {i}"] * (i % 3 > 0), title=f"{i % 100}")
        for i in range(300)
    )
    write_sentences(folder, sentences, shard_sentences=128)
    return folder


@pytest.fixture
def opened(vocabulary, tmp_path):
    def make(name, split="train", **arguments):
        return cache_lookup.token_cache(
            name, split, vocabulary=vocabulary, cache_dir=tmp_path / "caches", **arguments
        )

    return make


def targets(tokens, vocabulary):
    return [vocabulary.decode(tokens.targets(i)) for i in range(len(tokens))]


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord", "tfrecord.gz"])
def test_sentences_come_whole_and_in_order_from_every_format(
    folder, tmp_path, file_format, opened, vocabulary
):
    copy = tmp_path / "copy"
    write_sentences(copy, sentence_files.read(folder), format=file_format, shard_sentences=99)
    span_files.ssm_from_files({"formats": copy})
    expected = [f"Town {i}" for i in range(300) if i % 3]
    assert targets(opened("formats"), vocabulary) == expected


def test_the_cache_has_what_seqio_gives_one_by_one(folder, opened, vocabulary):
    registry = pytest.importorskip("closedbook.tasks.registry")
    span_files.ssm_from_files({"one_by_one": folder}, style="sentinel")
    tokens = opened("one_by_one")
    features = registry.output_features(vocabulary.path)
    task = registry.task("one_by_one", features=features)
    dataset = task.get_dataset(None, "train", shuffle=False, try_in_mem_cache=False)
    for index, example in enumerate(dataset.as_numpy_iterator()):
        assert tokens.inputs(index).tolist() == example["inputs"].tolist()
        assert tokens.targets(index).tolist() == example["targets"].tolist()
    assert index + 1 == len(tokens) == 200
    shuffled = task.get_dataset(None, "train", shuffle=True, seed=0, try_in_mem_cache=False)
    assert sum(1 for _ in shuffled) == 200


def test_an_unchanged_folder_is_not_read_again_and_options_make_caches_of_their_own(
    folder, opened, monkeypatch
):
    span_files.span_corruption_from_files({"keyed": folder})
    first = opened("keyed")
    built = []

    class Building(Exception):
        pass

    def note(folder, *_, **__):
        built.append(folder)
        raise Building

    monkeypatch.setattr(cache_lookup, "build", note)
    assert opened("keyed").folder == first.folder
    keys = {first.folder}
    for changed in (
        {"style": "sentinel"},
        {"style": "sentinel", "spans_per_example": "all"},
        {"labels": ["X"]},
        {"passes": 2},
        {"seed": 1},
        {"corruption": "t5"},
        {"held_out": 0.3},
    ):
        span_files.span_corruption_from_files({"keyed": folder}, **changed)
        with pytest.raises(Building):
            opened("keyed", lengths={"inputs": 64, "targets": 32})
        keys.add(built[-1])
    assert len(keys) == 8


def test_passes_hold_other_masks_and_a_seed_brings_them_back(folder, opened):
    span_files.span_corruption_from_files({"passing": folder}, passes=3)
    tokens = opened("passing")
    assert len(tokens) == 600
    passes = [[tokens.inputs(200 * n + i).tolist() for i in range(200)] for n in range(3)]
    assert all(sum(map(list.__eq__, passes[0], other)) < 100 for other in passes[1:])


def test_t5s_corruption_is_cut_to_the_lengths_of_the_run(folder, opened):
    span_files.span_corruption_from_files({"rows": folder}, corruption="t5")
    for length in (64, 128):
        tokens = opened("rows", lengths={"inputs": length, "targets": 64})
        assert np.diff(tokens.flat("inputs")[1]).max() == length
    with pytest.raises(UserError, match="give the lengths of inputs and targets"):
        opened("rows")


def test_titles_are_held_out_whole(folder, opened, vocabulary):
    span_files.ssm_from_files({"held": folder}, held_out=0.3)
    assert specs.SPECS["held"].splits == ("train", "validation")
    parts = [set(targets(opened("held", split), vocabulary)) for split in ("train", "validation")]
    assert len(parts[0]) + len(parts[1]) == 200
    assert 30 < len(parts[1]) < 90
    titles = [{int(name.split()[1]) % 100 for name in part} for part in parts]
    assert titles[0].isdisjoint(titles[1])


def test_the_paper_s_tasks_read_a_folder_too(folder, opened, vocabulary, monkeypatch):
    tokens = opened("salient_span_masked_wikipedia", data_dir=folder)
    assert vocabulary.decode(tokens.inputs(0)) == "nem: _X_ has 1 inhabitants."
    monkeypatch.setenv("CLOSEDBOOK_DATA_DIR", str(folder))
    rows = opened("span_corrupted_wikipedia", lengths={"inputs": 128, "targets": 64})
    assert np.diff(rows.flat("inputs")[1]).max() == 128
    with pytest.raises(UserError, match=r"found no sentences in .*manifest\.json"):
        opened("salient_span_masked_wikipedia", data_dir=folder.parent)


def test_a_changed_folder_gives_another_cache(folder, opened, tmp_path):
    copy = tmp_path / "copy"
    write_sentences(copy, sentence_files.read(folder))
    span_files.ssm_from_files({"changing": copy})
    first = opened("changing")
    write_sentences(copy, list(sentence_files.read(folder))[:30], overwrite=True)
    assert (len(first), len(opened("changing"))) == (200, 20)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: span_files.ssm_from_files({"a": f.parent}), r"task 'a': .*manifest\.json"),
        (lambda f: span_files.ssm_from_files({"atlas_ssm": f}), "is a packaged task"),
        (lambda f: span_files.ssm_from_files({"a": f}, style="nen"), "nearest: nem"),
        (lambda f: span_files.span_corruption_from_files({"a": f}, corruption="t6"), "'t6'; use"),
        (lambda f: mixtures.mixture({"m": {"nowhere": 1}}), "unknown task 'nowhere'"),
        (lambda f: mixtures.mixture({"m": {"atlas_ssm": 0}}), "rate of atlas_ssm is 0"),
        (lambda f: mixtures.mixture({"m": {}}), "has no tasks"),
        (lambda f: mixtures.mixture({"atlas_ssm": {"atlas_qa": 1}}), "is a task or a packaged"),
        (lambda f: mixtures.mixture({"closed_book_qa": {"atlas_qa": 1}}), "packaged mixture"),
    ],
)
def test_mistakes_are_told(folder, make, message):
    with pytest.raises(UserError, match=message):
        make(folder)


def test_a_mixture_trains_by_its_rates(folder, vocabulary, tmp_path):
    seqio = pytest.importorskip("seqio")
    (tmp_path / "quiz.jsonl").write_text(json.dumps({"question": "who?", "answer": "me"}) + "\n")
    own_files.qa_from_files({"mix_quiz": {"train": tmp_path / "quiz.jsonl"}})
    span_files.ssm_from_files({"mix_ssm": folder})
    mixtures.mixture({"own_mix": {"mix_ssm": 0.7, "mix_quiz": 0.3}})
    sources = cache_lookup.training_sources("own_mix", vocabulary=vocabulary, cache_dir=tmp_path)
    assert [(tokens.name, rate) for tokens, rate in sources] == [
        ("mix_ssm", 0.7),
        ("mix_quiz", 0.3),
    ]
    mixture = seqio.get_mixture_or_task("own_mix")
    assert {task.name: mixture.get_rate(task) for task in mixture.tasks} == {
        "mix_ssm": 0.7,
        "mix_quiz": 0.3,
    }
    mixtures.mixture({"own_mix": {"mix_quiz": 2}})
    assert specs.rates("own_mix") == {"mix_quiz": 2.0}


def test_gin_lines_make_tasks_and_mixtures(folder):
    arguments = gin_files.resolve(
        "train",
        ["ssm_tiny.gin"],
        [
            f"SENTENCES = '{folder}'",
            "tasks.ssm_from_files.style = 'sentinel'",
            f"tasks.span_corruption_from_files.files = {{'gin_control': '{folder}'}}",
            "tasks.span_corruption_from_files.passes = 4",
            "tasks.mixture.rates = {'gin_mix': {'my_ssm': 0.7, 'gin_control': 0.3}}",
            "MIXTURE_OR_TASK_NAME = 'gin_mix'",
        ],
    )
    assert arguments["train_dataset_cfg"].mixture_or_task_name == "gin_mix"
    assert specs.SPECS["my_ssm"].masking.style == "sentinel"
    control = dataclasses.asdict(specs.SPECS["gin_control"].masking)
    assert (control["corruption"], control["passes"]) == ("matched", 4)
    with_loss = gin_files.resolve("train", ["ssm_from_files.gin"], [f"SENTENCES = '{folder}'"])
    assert with_loss["train_eval_dataset_cfg"].split == "validation"
    assert "validation" in specs.SPECS["my_ssm"].splits
