"""Every example in a docstring of `closedbook.eval` runs and shows what it says."""

import doctest
import importlib
import pkgutil

import pytest

import closedbook.eval

MODULES = [
    module.name
    for module in pkgutil.walk_packages(closedbook.eval.__path__, prefix="closedbook.eval.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_text_functions_carry_examples():
    for name in ["normalize", "metrics"]:
        module = importlib.import_module(f"closedbook.eval.{name}")
        assert doctest.testmod(module).attempted >= 5
