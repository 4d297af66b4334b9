"""Values of options that several commands read."""

import doctest

import pytest

from closedbook.cli import run
from closedbook.cli.gin_files import run_folders
from closedbook.cli.knowledge.probe_steps import numbers
from closedbook.errors import UserError


def test_examples_in_docstrings_run():
    for module, count in ((run, 4), (run_folders, 4)):
        assert doctest.testmod(module) == (0, count)


def test_numbers_may_have_spaces_and_stand_twice():
    assert numbers(" 10, 1,10 ") == (10, 1)


@pytest.mark.parametrize("text", ["", ",", "1,", "1,,2", "1 2", "0", "1.5"])
def test_a_list_of_numbers_with_anything_else_is_refused(text):
    with pytest.raises(UserError, match="give numbers from 1 to 999,999,999"):
        numbers(text)
