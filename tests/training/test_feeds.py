"""A run's data: caches are looked up once, users' modules imported once and by name."""

import collections
import importlib

import pytest

from closedbook.data.cache import TokenCache
from closedbook.errors import UserError
from closedbook.training.feeds import import_task_modules
from closedbook.training.settings import DatasetConfig


def test_a_run_looks_each_cache_up_once(run, monkeypatch):
    opened = collections.Counter()
    original = TokenCache.__init__

    def counted(self, folder):
        original(self, folder)
        opened[self.name, self.split] += 1

    monkeypatch.setattr(TokenCache, "__init__", counted)
    run(2, eval_period=1)
    # Record, batches, held-out loss, questions and the search for leakage share them.
    assert opened == {("loop_quiz", "train"): 1, ("loop_quiz", "validation"): 1}


def test_a_users_module_is_imported_once_for_all_parts(run, tmp_path, monkeypatch):
    (tmp_path / "my_own_tasks.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    imported = collections.Counter()
    original = importlib.import_module

    def counted(name, package=None):
        imported[name] += 1
        return original(name, package)

    monkeypatch.setattr(importlib, "import_module", counted)
    run(1, data={"module": "my_own_tasks"})
    assert imported["my_own_tasks"] == 1


def test_a_module_that_is_not_there_is_named():
    cfg = DatasetConfig(
        mixture_or_task_name="mine",
        split="train",
        task_feature_lengths=None,
        batch_size=1,
        module="no_such_tasks",
    )
    with pytest.raises(UserError, match="MIXTURE_OR_TASK_MODULE 'no_such_tasks' cannot be import"):
        import_task_modules(None, cfg)
    import_task_modules(None, None)


def test_both_lengths_are_asked_for(run):
    with pytest.raises(UserError, match=r"TASK_FEATURE_LENGTHS is \{'inputs': 32\}; give both"):
        run(1, data={"task_feature_lengths": {"inputs": 32}})
