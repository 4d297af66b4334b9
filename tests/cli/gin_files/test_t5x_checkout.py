"""T5X's own gin files, in a checkout of T5X, against ours of the same names.

`T5X_CHECKOUT` names the checkout (commit cc342d4 has been tried); none of its files is ours.
"""

import os
import pathlib

import pytest

CHECKOUT = os.environ.get("T5X_CHECKOUT", "")
pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="T5X_CHECKOUT names no folder with google-research/t5x"
)

SIZES = {
    "t5_1_0": ("tiny", "small", "base", "large", "3B", "11B"),
    "t5_1_1": ("tiny", "small", "base", "large", "xl", "xxl"),
    "mt5": ("tiny", "small", "base", "large", "xl", "xxl"),
    "byt5": ("tiny", "small", "base", "large", "xl", "xxl"),
}
PLACES = ("t5x/examples/t5", "t5x/contrib/gpu/t5")
MODELS = [
    f"{place}/{family}/{size}.gin"
    for place in PLACES
    for family, sizes in SIZES.items()
    for size in sizes
]
RUNS = [
    ("train", "finetune", []),
    ("train", "pretrain", ["DROPOUT_RATE = 0.1"]),
    ("eval", "eval", []),
    ("infer", "infer", []),
    ("precompile", "precompile", ["DROPOUT_RATE = 0.1"]),
]


@pytest.fixture
def same_both_ways(monkeypatch, outside, resolved):
    """Checks that a run means the same in the checkout and outside one."""

    def check(mode: str, files: list[str], *bindings: str) -> None:
        monkeypatch.chdir(CHECKOUT)
        theirs = resolved(mode, files, *bindings)
        monkeypatch.chdir(outside)
        assert resolved(mode, files, *bindings) == theirs

    return check


@pytest.mark.parametrize("model", MODELS)
def test_a_model_file_means_what_t5xs_does(same_both_ways, required, model):
    files = [model, "t5x/configs/runs/finetune.gin"]
    same_both_ways("train", files, *required["train"])


@pytest.mark.parametrize(("mode", "run", "more"), RUNS)
@pytest.mark.parametrize("place", ["t5x/configs/runs", "t5x/contrib/gpu/t5/configs/runs"])
def test_a_run_file_means_what_t5xs_does(same_both_ways, required, place, mode, run, more):
    files = ["t5x/examples/t5/t5_1_1/small.gin", f"{place}/{run}.gin"]
    given = [line for line in required[mode] if run != "pretrain" or "INITIAL" not in line]
    same_both_ways(mode, files, *given, *more)


def _examples() -> list[str]:
    root = pathlib.Path(CHECKOUT)
    found = [path for place in PLACES for path in root.glob(f"{place}/t5_1_1/examples/*.gin")]
    return sorted(str(path.relative_to(root)) for path in found)


@pytest.mark.parametrize("example", _examples() if CHECKOUT else [])
def test_an_example_means_what_t5xs_does(same_both_ways, example):
    mode = {"eval": "eval", "infer": "infer"}.get(example.rpartition("_")[2].split(".")[0], "train")
    folders = {"eval": ["EVAL_OUTPUT_DIR = '/e'"], "infer": ["INFER_OUTPUT_DIR = '/i'"]}
    given = folders.get(mode, [])
    if mode != "train":
        given = [*given, "CHECKPOINT_PATH = '/c'"]
    if "wmt14enfr_eval" in example:
        given = [
            *folders["eval"],
            "INITIAL_CHECKPOINT_PATH = '/c'",
            "MIXTURE_OR_TASK_NAME = 'wmt14_enfr_v003'",
        ]
    same_both_ways(mode, [example], *given)


def test_the_tiny_file_shrinks_any_run(same_both_ways, required):
    files = [
        "t5x/examples/t5/t5_1_1/base.gin",
        "t5x/configs/runs/finetune.gin",
        "t5x/examples/t5/local_tiny.gin",
    ]
    given = [line for line in required["train"] if "LENGTHS" not in line and "STEPS" not in line]
    same_both_ways("train", files, *given)
