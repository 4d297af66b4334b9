"""Fixtures shared by all tests.

A clone alone has `golden`, made-up questions and a small vocabulary; `shared` is where licensed
data and what is too large lie, and a test that needs it skips elsewhere.
"""

import dataclasses
import io
import logging
import os
import pathlib
import random
import shutil
import signal
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest_plugins = ["tests.bucket_server"]

# Before anything imports JAX, and inherited by the commands that tests run: eight devices to
# test meshes on, and no accelerator, whatever the machine has.
os.environ["JAX_PLATFORMS"] = "cpu"
for _flag in (
    "--xla_force_host_platform_device_count=8",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
):
    if _flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_flag}".strip()
# Most of the tests' time is compiling: what one test or command has compiled, the next one loads,
# and what is compiled is compiled without costly optimisations.
_CACHE = tempfile.TemporaryDirectory(prefix="closedbook-xla-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# TensorFlow's start-up notes would fill the output of every failing command.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
_GOLDEN = _REPOSITORY / "tests" / "golden"


@pytest.fixture(autouse=True)
def _log_of_a_new_process() -> None:
    """The package's log as a process begins with it; commands that ran before have changed it."""
    logger = logging.getLogger("closedbook")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def signals_heard() -> Iterator[None]:
    """Signals as a shell in the foreground leaves them: under `nohup` or `&` some are ignored."""
    usual: dict[int, Any] = {
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real data and of other implementations' numbers, beside the checkout."""
    folder = pathlib.Path(os.environ.get("CLOSEDBOOK_SHARED", _REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set CLOSEDBOOK_SHARED to its folder")
    return folder


@pytest.fixture
def smollm2(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """SmolLM2-135M-Instruct, Q4_1, where it was fetched."""
    from benchmarks.smollm2 import place

    pytest.importorskip("gguf", reason="gguf is an extra")
    file = place()
    if not file.is_file():
        pytest.skip(f"no {file}; `make smollm2` fetches it")
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))
    return file


@pytest.fixture(scope="session")
def golden() -> pathlib.Path:
    """Numbers that other implementations produced on random weights and made-up text."""
    return _GOLDEN


@pytest.fixture(scope="session")
def upstream_run(tmp_path_factory) -> pathlib.Path:
    """A MODEL_DIR that T5X wrote: checkpoint_0 and checkpoint_20, no accumulator factored."""
    folder = tmp_path_factory.mktemp("upstream")
    with tarfile.open(_GOLDEN / "t5x" / "plain.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def factored_checkpoint(tmp_path_factory) -> pathlib.Path:
    """A made-up checkpoint_20 of T5X's native format, whose large accumulators are factored."""
    import jax
    import numpy as np

    from closedbook.checkpoints.t5x.native import write_t5x
    from closedbook.checkpoints.tensors import Checkpoint, Tensor, flatten
    from closedbook.models import T5, T5Config, unboxed
    from closedbook.training.optimizers.adafactor import adafactor

    config = T5Config(
        vocab_size=1152,
        emb_dim=128,
        num_heads=4,
        num_encoder_layers=2,
        num_decoder_layers=2,
        head_dim=32,
        mlp_dim=256,
        mlp_activations=("gelu", "linear"),
        logits_via_embedding=False,
    )
    tokens = np.ones((1, 2), np.int32)
    shapes = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)["params"]
    params = unboxed(shapes)
    state = jax.eval_shape(adafactor().init, params)
    rng = np.random.default_rng(0)

    def made(tree: Any, slot: str = "") -> dict[str, Tensor]:
        flat = flatten(tree, leaf=lambda _: False)
        return {
            path + slot: Tensor.of(
                # Slots that are not used hold a single 0.
                np.zeros(1, np.float32)
                if leaf.shape == (1,)
                else rng.random(leaf.shape, np.float32),
                path + slot,
            )
            for path, leaf in flat.items()
        }

    slots = {slot: made(getattr(state, slot), f"/{slot}") for slot in ("v", "v_row", "v_col")}
    unused = {
        f"{path}/m": Tensor.of(np.zeros(1, np.float32), path)
        for path in flatten(params, leaf=lambda _: False)
    }
    folder = tmp_path_factory.mktemp("factored") / "checkpoint_20"
    folder.mkdir()
    checkpoint = Checkpoint(
        format="t5x",
        path="made",
        params=made(params),
        slots=unused | slots["v"] | slots["v_row"] | slots["v_col"],
        step=20,
    )
    write_t5x(folder, checkpoint)
    return folder


_SYLLABLES = "ba den ço dri el fa gu hör is ja kel lo mar né or pa qui ros sa tu uz vi wen xa yl zo"
_ASKED = {
    "who wrote the book {name}": "person",
    "who plays {name} in the last episode of the {number} towns of {name}": "person",
    "who won the {name} cup in {year}": "person",
    "when did {name} become the capital of {name}": "year",
    "when is the next season of {name} and {name} going to come out": "date",
    "where does the river {name} meet the sea": "place",
    "what is the highest mountain in {name} called": "place",
    "how many people of {name} have been on the moon": "number",
    "how many of the {number} songs of {name} were written by {name} before {year}": "number",
}
_NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
_MONTHS = "January March April June August October November December".split()


@pytest.fixture(scope="session")
def made_questions() -> list[dict[str, Any]]:
    """50,000 rows in the form of NQ-open's files: id, question, one to five answers.

    The same in each session. Some answers stand twice in a row, as in the real files.
    """
    draw = random.Random(0)
    syllables = _SYLLABLES.split()

    def name() -> str:
        return "".join(draw.choices(syllables, k=draw.choice((1, 2, 2, 3)))).capitalize()

    def answers(kind: str) -> list[str]:
        first, last, year = name(), name(), str(draw.randint(1200, 2030))
        day, month = draw.randint(1, 28), draw.choice(_MONTHS)
        thousands, hundreds = draw.randint(1, 12), draw.randint(1, 9)
        return {
            "person": [f"{first} {last}", f"{first[0]}. {last}", last, f"Sir {first} {last}"],
            "year": [f"in {year} AD", year],
            "date": [f"{day} {month} {year}", f"{month} {day}, {year}", f"{month} {year}"],
            "place": [f"the {first} {last}", f"{first}-{last}", f"{first} ({last})"],
            "number": [
                f"{_NUMBERS[thousands - 1]} thousand {_NUMBERS[hundreds - 1]} hundred",
                f"{thousands},{hundreds}00",
            ],
        }[kind]

    rows = []
    for i in range(50_000):
        asked, kind = draw.choice(list(_ASKED.items()))
        while "{name}" in asked:
            asked = asked.replace("{name}", name().lower(), 1)
        asked = asked.format(number=draw.choice(_NUMBERS), year=draw.randint(1200, 2030))
        given = answers(kind)[: draw.choice((1, 1, 2, 4))]
        given += given[:1] * (draw.random() < 0.1)
        rows.append({"id": f"made-{i}", "question": asked, "answer": given})
    return rows


@pytest.fixture(scope="session")
def vocabulary_file(made_questions, tmp_path_factory) -> pathlib.Path:
    """A SentencePiece model in T5's layout: of 2,000 pieces, normalising, with unknown characters.

    Pad is 0, the end 1, unknown 2, and sentinels are not inside.
    """
    import sentencepiece

    lines = [
        f"nq question: {row['question']}? {', '.join(row['answer'])}."
        for row in made_questions[:4000]
    ]
    lines += [f"nem: the quick brown fox (_{letter}_) jumps over _X_." for letter in "ABCDEXYZ"] * 9
    lines += [chr(i) + chr(i + 1) for i in (*range(33, 126), *range(192, 255))]  # Latin letters
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        vocab_size=2000,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,  # the same pieces everywhere
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("vocabulary") / "made.model"
    path.write_bytes(written.getvalue())
    return path


@pytest.fixture(scope="session")
def span_texts():
    """The text of each span of a sentence, cut out by bytes."""

    def texts(sentence) -> list[str]:
        text = sentence.text.encode()
        return [text[span.byte_start : span.byte_limit].decode() for span in sentence.spans]

    return texts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """A report in the browser, and what the browser had to say about it."""

    page: Any  # playwright's Page
    errors: list[str]  # of the console, of scripts, of the content security policy
    requests: list[str]  # addresses asked for, but for the page itself


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; skips where there is none, or no playwright."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CLOSEDBOOK_CHROMIUM") or next(filter(None, map(shutil.which, names)), "")
    if not path:
        pytest.skip("no Chromium; apt-get install chromium, or set CLOSEDBOOK_CHROMIUM to its path")
    with driver.sync_playwright() as playwright:
        # Containers give no rights for Chromium's own sandbox.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_report(browser: Any, tmp_path: pathlib.Path) -> Iterator[Callable[..., Opened]]:
    """Opens a page's text as a file, as a reader would, and waits until it can be used."""
    contexts = []

    def opened(document: str, *, script: str = "", **options: Any) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(document, encoding="utf-8")
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        errors: list[str] = []
        requests: list[str] = []
        page.on("console", lambda line: errors.append(line.text) if line.type != "log" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        requests.remove(path.as_uri())
        return Opened(page=page, errors=errors, requests=requests)

    yield opened
    for context in contexts:
        context.close()
