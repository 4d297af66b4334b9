"""inspect_ai's own command runs our task and our scorer on a tiny model."""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("inspect_ai", reason="an extra: pip install 'closedbook[inspect]'")
pytest.importorskip("accelerate", reason="inspect_ai's local models need accelerate")
torch = pytest.importorskip("torch", reason="inspect_ai's local models need torch")
transformers = pytest.importorskip("transformers", reason="transformers is an extra")
if not importlib.metadata.entry_points(group="inspect_ai", name="closedbook"):
    pytest.skip("closedbook is not installed here, so inspect_ai cannot find it", True)

COMMAND = pathlib.Path(sys.executable).with_name("inspect")
VALUES = {
    *("exact_match", "exact_match_nq_open", "exact_match_trivia_qa", "exact_match_lm_eval"),
    *("f1", "judged_right", "answerable"),
}


@pytest.fixture
def model(tmp_path):
    """A GPT-2 with random weights whose vocabulary is the bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>"
    )
    fast.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=257,
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=512,
        bos_token_id=256,
        eos_token_id=256,
    )
    folder = tmp_path / "tiny"
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def inspect(folder, *words):
    """Runs the command in a folder."""
    hub = {"HF_HUB_OFFLINE": "1", "INSPECT_DISPLAY": "none"}
    done = subprocess.run(
        [str(COMMAND), *map(str, words)],
        cwd=folder,
        env=os.environ | hub,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_the_task_and_the_scorer_are_found_and_a_log_is_scored_again(model, tmp_path):
    inspect(
        tmp_path,
        *("eval", "closedbook/atlas", "--model", "hf/local", "-M", f"model_path={model}"),
        *("-M", "device=cpu", "--limit", "3", "--max-tokens", "8", "--temperature", "0.5"),
        *("--log-dir", "logs", "--log-format", "json"),
    )
    [log] = (tmp_path / "logs").glob("*.json")
    found = json.loads(log.read_text(encoding="utf-8"))
    assert found["status"] == "success"
    scores = {score["name"]: score["metrics"] for score in found["results"]["scores"]}
    assert set(scores) >= VALUES
    assert scores["answerable"]["mean"]["value"] > 0
    for sample in found["samples"]:
        score = sample["scores"]["closed_book"]
        assert set(score["value"]) == VALUES
        assert score["metadata"]["reason"]
    inspect(
        tmp_path,
        *("score", log, "--scorer", "closedbook/closed_book", "--action", "overwrite"),
        *("--output-file", tmp_path / "again.json"),
    )
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    values = [sample["scores"]["closed_book"]["value"] for sample in found["samples"]]
    assert [s["scores"]["closed_book"]["value"] for s in again["samples"]] == values
