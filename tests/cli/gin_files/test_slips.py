"""Slips of a first-time user: each is told by a dry run already, in words that help."""

import re
import sys

import pytest

from closedbook.cli import t5x

ATLAS = ("train", "--gin_file=atlas_qa.gin")
TINY = ("train", "--gin_file=nq_tiny.gin", "--gin.VOCABULARY=@closedbook.tasks.atlas_vocabulary()")
EVAL = (
    "eval",
    "--gin_file=atlas_eval.gin",
    "--gin.CHECKPOINT_PATH='x'",
    "--gin.EVAL_OUTPUT_DIR='y'",
)
INFER = (
    "infer",
    "--gin_file=models/atlas.gin",
    "--gin_file=runs/infer.gin",
    "--gin.MIXTURE_OR_TASK_NAME='atlas_qa_test'",
    "--gin.TASK_FEATURE_LENGTHS=None",
    "--gin.CHECKPOINT_PATH='x'",
    "--gin.INFER_OUTPUT_DIR='y'",
)


@pytest.fixture
def dry_run(monkeypatch, capsys, tmp_path):
    """Runs `t5x ... --dry_run` in a folder with a data file: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"question": "q?", "answers": ["a"]}\n')
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "words.gin").write_text("TRAIN_STEPS = 5\nFOO BAR\n")
    (tmp_path / "not.model").write_text("words")
    before = sys.path[:]

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["t5x", *words, "--dry_run"])
        with pytest.raises(SystemExit) as ended:
            t5x.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    yield run
    sys.path[:] = before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        # kinds of values
        ((*ATLAS, "--gin.VOCABULARY='x.model'"), "vocabulary is 'x.model'; .*VOCABULARY_FILE"),
        ((*ATLAS, "--gin.OPTIMIZER='adam'"), r"optimizer is 'adam'; .*@adafactor.Adafactor\(\)"),
        ((*ATLAS, "--gin.OPTIMIZER=@optax.adam"), r"not called \(write @optax.adam\(\)\)"),
        ((*ATLAS, "--gin.TASK_FEATURE_LENGTHS=128"), "is 128; .*{'inputs': 512, 'targets': 128}"),
        ((*ATLAS, "--gin.TASK_FEATURE_LENGTHS={'inputs': '9', 'targets': 9}"), "is {'inputs': '9'"),
        ((*ATLAS, "--gin.TASK_FEATURE_LENGTHS={'inputs': 9}"), "give both lengths"),
        ((*ATLAS, "--gin.network.T5Config.head_dim='32'"), "head_dim is '32'; .*whole number"),
        ((*ATLAS, "--gin.network.T5Config.mlp_activations='relu'"), r"is 'relu'; .*\('relu',\)"),
        ((*ATLAS, "--gin.BATCH_SIZE=16.5"), "batch_size is 16.5; give a whole number"),
        ((*ATLAS, "--gin.train.metric_services='wandb'"), r"is 'wandb'; .*\['wandb'\]"),
        ((*ATLAS, "--gin.train.metric_services=['wanbd']"), "service 'wanbd'; nearest: wandb"),
        ((*ATLAS, "--gin.trainer.Trainer.learning_rate_fn=0.1"), "needs a function; bind @util"),
        ((*ATLAS, "--gin.tasks.qa_from_files.files={'my_quiz': 'a.jsonl'}"), '{"train": "a.jsonl"'),
        ((*ATLAS, "--gin.tasks.qa_from_files.files='a.jsonl'"), "is 'a.jsonl'; it needs what"),
        ((*ATLAS, "--gin.tasks.mixture.rates={'m': ['atlas_qa']}"), "'m': .*it needs what reads"),
        # numbers out of their range
        ((*ATLAS, "--gin.network.T5Config.num_heads=0"), "num_heads is 0; it must be at least 1"),
        ((*ATLAS, "--gin.network.T5Config.emb_dim=-128"), "emb_dim is -128; it must be at least 1"),
        ((*ATLAS, "--gin.network.T5Config.num_decoder_layers=0"), "num_decoder_layers is 0"),
        ((*ATLAS, "--gin.network.T5Config.relpos_buckets=0"), "relpos_buckets is 0"),
        ((*ATLAS, "--gin.network.T5Config.mlp_activations=()"), "mlp_activations is empty"),
        ((*TINY, "--gin.network.T5Config.vocab_size=100"), "100 embeddings; set T5Config"),
        ((*TINY, "--gin.EVALUATOR_NUM_EXAMPLES=-2"), "num_examples is -2; give 1 or more"),
        ((*EVAL, "--gin.JSON_WRITE_N_RESULTS=-3"), "write_n_results is -3"),
        ((*ATLAS, "--gin.TRAIN_STEPS=-100"), "total_steps is -100; give 0 or more"),
        ((*ATLAS, "--gin.TRAIN_STEPS_RELATIVE=-5"), "relative_steps is -5; give 0 or more"),
        ((*ATLAS, "--gin.SAVE_PERIOD=-1"), "period is -1; give 0 or more"),
        ((*ATLAS, "--gin.STATS_PERIOD=-1"), "stats_period is -1; give 1 or more, or 0 for none"),
        ((*ATLAS, "--gin.RANDOM_SEED=-1"), "RANDOM_SEED is -1; give a number from 0 to"),
        ((*ATLAS, "--gin.Z_LOSS=-1"), "the z-loss is -1"),
        ((*ATLAS, "--gin.LOSS_NORMALIZING_FACTOR=0"), "FACTOR is 0; .*NUM_REAL_TARGET_TOKENS"),
        ((*ATLAS, "--gin.create_learning_rate_scheduler.base_learning_rate=-1"), "rate is -1"),
        ((*ATLAS, "--gin.SaveCheckpointConfig.checkpoint_steps=[-5]"), "checkpoint_steps is -5"),
        ((*ATLAS, "--gin.trainer.Trainer.num_microbatches=3"), "one of 1, 2, 4, 8, 16"),
        ((*ATLAS, "--gin.partitioning.PjitPartitioner.num_partitions=0"), "partitions is 0; use 1"),
        ((*INFER, "--gin.infer.checkpoint_period=0"), "checkpoint_period is 0; give 1 or more"),
        ((*INFER, "--gin.infer.mode='predic'"), "infer mode 'predic'; nearest: predict"),
        # what cannot be read
        ((*ATLAS, "--gin.DROPOUT_RATE=float('nan')"), "gin calls no functions of Python"),
        ((*ATLAS, "--gin.DROPOUT_RATE=nan"), "needs a finite number"),
        ((*ATLAS, "--gin.MODEL_DIR='runs/x"), "mark is not closed: --gin.MODEL_DIR=\"'runs/x'\""),
        ((*ATLAS, "--gin.MODEL_DIR=runs/x"), "inside the shell's: --gin.MODEL_DIR=\"'runs/x'\""),
        ((*ATLAS, "--gin.TRAIN_STEPS=10k"), "a number has no unit and no commas"),
        ((*ATLAS, "--gin.TRAIN_STEPS=1,000"), "a number has no unit and no commas"),
        ((*ATLAS, "--gin.USE_CACHED_TASKS=true"), "write True"),
        ((*ATLAS, "--gin.TASK_FEATURE_LENGTHS={'inputs': 128"), "a bracket is not closed"),
        ((*ATLAS, "--gin.A={inputs:", "128,"), "the shell cuts a value at its blanks"),
        (("train", "--gin_file=words.gin"), r"line 'FOO BAR' \(words.gin, line 2\); a line of a"),
        (("train", "--gin_file=a.jsonl"), r"\(a.jsonl, line 1\); a line of a gin file is NAME"),
        (("train", "--gin_file=folder"), "folder is a folder; name a file in it"),
        (("train", "nq_tiny.gin"), "give gin files as --gin_file=nq_tiny.gin"),
        (("train", "--gin_file=models/tiny.gin"), "has no model.*name a run file"),
        # names
        ((*ATLAS, "--gin.batch_size=5"), "unknown macro 'batch_size'"),
        ((*ATLAS, "--gin.BATCH_SIZ=5"), "unknown macro 'BATCH_SIZ'; nearest: BATCH_SIZE"),
        ((*ATLAS, "--gin.OPTIMIZER=@optax.adamm()"), "^error: unknown configurable 'optax.adamm'"),
        ((*ATLAS, "--gin.MIXTURE_OR_TASK_NAME='atlas_q'"), "mixture 'atlas_q'; nearest: atlas_qa"),
        ((*EVAL, "--gin.SPLIT='tets'"), "unknown split 'tets'; nearest: test"),
        ((*ATLAS, "--gin.tasks.qa_from_files.files={'../x': {'train': 'a.jsonl'}}"), "cannot be"),
        # files
        ((*ATLAS, "--gin.DATA_DIR='nowhere'"), "DATA_DIR is 'nowhere'; there is no such folder"),
        ((*ATLAS, "--gin.MODEL_DIR=''"), "MODEL_DIR is empty"),
        ((*ATLAS, "--gin.MODEL_DIR='a.jsonl'"), "MODEL_DIR is 'a.jsonl', which is a file"),
        ((*ATLAS, "--gin.tasks.qa_from_files.files={'q': {'train': 'empty.jsonl'}}"), "is empty"),
        (
            (
                *ATLAS,
                "--gin.VOCABULARY=@seqio.SentencePieceVocabulary()",
                "--gin.VOCABULARY_FILE='not.model'",
            ),
            "not.model is not a SentencePiece model",
        ),
    ],
)  # fmt: skip
def test_a_slip_is_one_message_in_a_dry_run(dry_run, words, message):
    code, out, err = dry_run(*words)
    assert code == 2
    assert err.startswith("error: ")

    assert re.search(message, err, re.DOTALL), err
    for of_others in ("In call to", "<function", "<class", "Traceback", "Couldn't parse"):
        assert of_others not in out + err


def test_what_a_constructor_raises_is_told_without_words_of_gin(dry_run, monkeypatch):
    from closedbook.tasks import own_files

    monkeypatch.setattr(own_files.specs, "add_task", lambda spec: [][len(spec.name)])
    given = "--gin.tasks.qa_from_files.files={'my_quiz': {'train': 'a.jsonl'}}"
    code, _, err = dry_run(*ATLAS, given)
    assert code == 1  # an error that nobody foresaw: a fault of ours
    assert "IndexError: list index out of range" in err
    assert "Please report it" in err
    assert "In call to" not in err


def test_an_own_file_may_misspell_a_macro_and_is_told(dry_run, tmp_path):
    (tmp_path / "mine.gin").write_text("include 'atlas_qa.gin'\nBATCH_SIZEE = 3\n")
    code, _, err = dry_run("train", "--gin_file=mine.gin")
    assert code == 0
    assert "BATCH_SIZEE: nothing that is read uses it" in err


def test_whole_numbers_inside_of_a_dict_may_be_written_as_floats(dry_run):
    code, out, _ = dry_run(*ATLAS, "--gin.TASK_FEATURE_LENGTHS={'inputs': 1e2, 'targets': 16.0}")
    assert code == 0
    assert "lengths {'inputs': 100, 'targets': 16}" in out
