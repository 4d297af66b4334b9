"""README and docs: each command is one that the program takes, and each link leads somewhere."""

import pathlib
import re
import shlex
import tomllib

import pytest
import typer

from closedbook.cli import closedbook, gin_files, t5x
from closedbook.cli.runs.absl_flags import rewritten

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = {"closedbook": closedbook.app, "t5x": t5x.app}
SPAN = re.compile(r"`((?:closedbook|t5x) [^`]+)`")  # in a table, where a command is whole
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
# What makes another run of the same files.
DECIDES = {
    "DATA_DIR",
    "INITIAL_CHECKPOINT_PATH",
    "MIXTURE_OR_TASK_NAME",
    "SENTENCES",
    "TEXT",
    "VOCABULARY_FILE",
}
# A shell's words before a command: variables, and what starts it on several machines.
BEFORE = re.compile(r"(?:[A-Z][A-Z0-9_]*=\S+ +|srun +)*")


def _commands(text):
    """The commands of ours in a page's blocks, comments and pipes taken away."""
    for _, language, block in BLOCK.findall(text):
        if language not in ("", "sh", "console"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\$\w+", "0", line.strip().removeprefix("$ "))
            if (
                not re.match(r"(closedbook|t5x)\b", BEFORE.sub("", line, count=1))
                and "|" not in line
            ):
                continue
            try:
                words = _words(line)
            except ValueError:
                continue  # what a command prints
            yield from _split(words)


def _rows(text):
    """The commands of ours in a page's tables, those with places to fill in left out."""
    for line in BLOCK.sub("", text).splitlines():
        if line.startswith("|"):
            for span in SPAN.findall(line):
                if "..." not in span and not re.search(r"\b[A-Z]{3,}\b(?!_)", span):
                    yield from (words for words in _split(_words(span)) if len(words) > 2)


def _words(line):
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>;&()")
    lexer.whitespace_split = True
    return list(lexer)


def _split(words):
    command = []
    for word in [*words, ";"]:
        if word and set(word) <= set("|<>;&()"):
            while command and "=" in command[0] and not command[0].startswith("-"):
                command = command[1:]
            command = command[1:] if command[:1] == ["srun"] else command
            if command and command[0] in PROGRAMS and len(command) > 1:
                yield command
            command = [] if word in ("|", ";", "&&") else ["redirected"]
        else:
            command.append(word)


def _found():
    for page in PAGES:
        text = page.read_text("utf-8")
        rows = _rows(text) if page.stem.startswith("from_") else ()
        for words in (*_commands(text), *rows):
            yield pytest.param(words, id=f"{page.relative_to(ROOT)}: {' '.join(words)[:90]}")


def _parsed(command, words, name):
    """Parses the words as the program would, and runs nothing; what they say wrong is raised."""
    context = command.make_context(name, list(words), resilient_parsing=True)
    while hasattr(command, "commands"):
        chosen, *words = words
        assert chosen in command.commands, f"{name} has no command {chosen}"
        command = command.commands[chosen]
        group = hasattr(command, "commands")
        context = command.make_context(chosen, list(words), parent=context, resilient_parsing=group)
    return context


@pytest.fixture(scope="module")
def groups():
    return {name: typer.main.get_command(app) for name, app in PROGRAMS.items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with the files that pages speak of, and in which their runs have been."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("my_text.txt", "atlas.txt", "wiki.train.raw"):
        (folder / name).write_text("A text.\n\nAnother one.\n" * 10)
    (folder / "text.jsonl").write_text('{"text": "A text."}\n' * 10)
    for name in ("quiz.train.jsonl", "quiz.dev.jsonl"):
        (folder / name).write_text('{"question": "who?", "answer": "she"}\n')
    for name in ("corpus", "my_sentences"):
        (folder / name).mkdir()
        (folder / name / "manifest.json").write_text('{"schema": 1, "shards": []}')
    bindings = ["VOCABULARY_FILE = 'spiece.model'", "DATA_DIR = 'data'"]
    gin_files.resolve("train", ["nq_tiny.gin"], bindings)
    (folder / "config.gin").write_text(gin_files.config_text())
    return folder


def _own_files(folder, words):
    """Makes the gin files of a command that only its user has."""
    for word in words:
        file = word.removeprefix("--gin_file=")
        if file != word and not (gin_files.PACKAGED / file).exists():
            assert pathlib.PurePath(file).name == "config.gin", f"no gin file {file}"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text((folder / "config.gin").read_text())


def test_pages_have_commands():
    assert len(list(_found())) > 100


@pytest.mark.parametrize("words", list(_found()))
def test_a_command_is_taken_as_it_is_printed(words, groups, project, monkeypatch):
    monkeypatch.chdir(project)
    name, *rest = words
    if name == "t5x":
        rest = rewritten(rest, ("train", "eval", "infer"))
        # No bucket is asked: its files lie in a folder of its name.
        rest = [word.replace("--gin_file=gs://", "--gin_file=") for word in rest]
    context = _parsed(groups[name], rest, name)
    if context.command.name in ("train", "eval", "infer"):
        _own_files(project, rest)
        given = context.params
        found = gin_files.resolve(
            context.command.name, given["gin_file"] or [], given["gin_bindings"] or []
        )
        assert found["model"]


def test_runs_of_different_pages_have_folders_of_their_own(project, monkeypatch):
    monkeypatch.chdir(project)
    told = {}
    for words in (param.values[0] for param in _found()):
        words = rewritten(words[1:], ("train", "eval", "infer")) if words[0] == "t5x" else []
        if words[:1] != ["train"] or "--dry_run" in words:
            continue
        files = [word.partition("=")[2] for word in words if word.startswith("--gin_file=")]
        bindings = [word.partition("=")[2] for word in words if word.startswith("--gin_bindings=")]
        folder = gin_files.resolve("train", files, bindings)["model_dir"]
        what = [each for each in bindings if each.split("=")[0] in DECIDES]
        told.setdefault(folder, set()).add((*files, *what))
    assert len(told) > 8
    assert {folder: runs for folder, runs in told.items() if len(runs) > 1} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    text = BLOCK.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), flags=re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in titles]
            assert heading in anchors, f"{target}: no such heading"


def test_each_page_is_led_to():
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s:]+\.md[^)\s]*)\)", page.read_text("utf-8"))
    }
    assert [page for page in PAGES[1:] if page not in linked] == []


def test_readme_names_every_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    section = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("## Extras")[1].split("\n## ")[0]
    )
    assert set(project["optional-dependencies"]) - set(re.findall(r"`([\w-]+)`", section)) == set()
