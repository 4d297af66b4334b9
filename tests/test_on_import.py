"""Something runs around the first import of a module, whoever imports it and however."""

import contextlib
import importlib
import importlib.util
import subprocess
import sys

import pytest

from closedbook.on_import import around_import


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "made_up_module.py").write_text("import sys\nVALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield "made_up_module"
    sys.modules.pop("made_up_module", None)


@pytest.fixture
def watch(module):
    seen = []

    @contextlib.contextmanager
    def around():
        seen.append("before")
        yield
        seen.append(sys.modules[module].VALUE)

    around_import(module, around)
    return seen


def test_context_is_around_the_first_import_alone(module, watch):
    finders = list(sys.meta_path)
    found = importlib.import_module(module)
    assert watch == ["before", 1]
    importlib.reload(found)
    assert watch == ["before", 1]
    assert len(sys.meta_path) == len(finders) - 1
    assert type(found.__loader__).__module__ != "closedbook.on_import"


def test_looking_for_the_module_does_not_use_it_up(module, watch):
    assert importlib.util.find_spec(module) is not None
    assert watch == []
    importlib.import_module(module)
    assert watch == ["before", 1]


def test_two_contexts_are_both_entered(module, watch):
    other = []
    around_import(module, lambda: contextlib.nullcontext(other.append("here")))
    importlib.import_module(module)
    assert (watch, other) == (["before", 1], ["here"])


def test_module_that_is_not_installed_is_still_an_import_error(watch):
    around_import("no_such_module_anywhere", contextlib.nullcontext)
    with pytest.raises(ImportError):
        importlib.import_module("no_such_module_anywhere")


def test_asking_imports_neither_orbax_nor_tasks_nor_the_judge():
    """Each takes a tenth to a third of a second, and a question needs none of them."""
    needless = ("orbax", "seqio", "closedbook.tasks.registry", "closedbook.eval.equivalence")
    code = (
        "import sys, closedbook.cli.ask, closedbook.knowledge.loading\n"
        "from closedbook.cli.analyze import progress_bar\n"
        "with progress_bar() as progress: progress('asking', 1, 2)\n"
        f"print([name for name in {needless} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_a_package_has_not_is_no_attribute_of_it():
    with pytest.raises(AttributeError, match=r"'closedbook.checkpoints' has no attribute 'Stoer'"):
        importlib.import_module("closedbook.checkpoints").Stoer  # noqa: B018


def test_names_of_tasks_are_found_in_whatever_order_they_are_asked_for():
    code = (
        "import importlib, sys\n"
        "for name in importlib.import_module('closedbook.tasks').__all__:\n"
        "    for each in [each for each in sys.modules if each.startswith('closedbook.tasks')]:\n"
        "        del sys.modules[each]\n"
        "    exec(f'from closedbook.tasks import {name}')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
