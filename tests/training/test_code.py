"""The training room's own code: functions that one can take in at a glance."""

import ast
import pathlib
from collections.abc import Iterator

import pytest

from closedbook import training

FOLDER = pathlib.Path(training.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))
PARAMETERS, LINES = 8, 80


def _functions(path: pathlib.Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node


def _parameters(function: ast.FunctionDef) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in named)


def _lines(function: ast.FunctionDef) -> int:
    """Lines of signature and code; the docstring does not count."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def test_the_measures_see_what_they_should():
    text = 'def f(self, a, *, b=1):\n    """One.\n\n    Two.\n    """\n    return a\n'
    function = ast.parse(text).body[0]
    assert (_parameters(function), _lines(function)) == (2, 2)
    assert "loop.py" in {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_functions_are_short_and_take_few_arguments(path):
    # These have a parameter for each name that gin binds, and T5X has so many.
    bound_by_gin = {"train", "check_run", "infer", "create_learning_rate_scheduler"}
    many = [f.name for f in _functions(path) if _parameters(f) > PARAMETERS]
    assert set(many) <= bound_by_gin
    assert [f.name for f in _functions(path) if _lines(f) > LINES] == []
