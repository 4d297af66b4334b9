"""A tagger by its name; own functions; a model with the dates beside it."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

from closedbook.corpora import taggers
from closedbook.corpora.taggers import CharSpan, load, loading, union
from closedbook.errors import UserError

OWN = """
def upper(sentences):
    return [[(0, len(text), "ALL")] if text else [] for text in sentences]

def short(sentences):
    return []

def number(sentences):
    return 7

def texts(sentences):
    return ["no" for _ in sentences]

def pairs(sentences):
    return [[(0, 1)] for _ in sentences]

def halves(sentences):
    return [[(0.5, 1, "X")] for _ in sentences]

def broken(sentences):
    raise ValueError("seven")

constant = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_taggers.py").write_text(OWN)
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("own_taggers", None)


@pytest.mark.parametrize(
    "name", ["", "date", "spacey", "hf:", ":f", "dates+dates", "dates:x", "a:"]
)
def test_unknown_name_lists_the_forms(name):
    with pytest.raises(UserError, match="unknown tagger"):
        load(name)


def test_own_function_is_called_with_all_sentences(own):
    tagger = load("own_taggers:upper")
    assert tagger.tag(["ab", "", "c"]) == [[CharSpan(0, 2, "ALL")], [], [CharSpan(0, 1, "ALL")]]
    assert tagger.name == "own_taggers:upper"


def test_own_function_that_changes_has_another_version(own):
    before = load("own_taggers:upper").version
    sys.modules.pop("own_taggers")
    (own / "own_taggers.py").write_text(OWN + "\n# another rule of quite another length\n")
    importlib.invalidate_caches()
    assert load("own_taggers:upper").version != before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:f", "PYTHONPATH"),
        ("broken_module:f", r"ZeroDivisionError.*broken_module.py, line 1"),
        ("own_taggers:missing", "has no function 'missing'"),
        ("own_taggers:constant", "has no function 'constant'"),
    ],
)
def test_own_function_that_is_not_there(own, name, message):
    with pytest.raises(UserError, match=message):
        load(name)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("short", "0 lists for 1 sentences"),
        ("number", "returned int"),
        ("texts", "gave 'no' for the sentence 'some text'"),
        ("pairs", r"gave the span \(0, 1\) in the sentence 'some text'"),
        ("halves", r"gave the span \(0.5, 1, 'X'\)"),
        ("broken", r"ValueError: seven \(.*own_taggers.py, line 21\)"),
    ],
)
def test_wrong_shape_from_an_own_function_is_said(own, function, message):
    with pytest.raises(UserError, match=message):
        load(f"own_taggers:{function}").tag(["some text"])


def test_dates_are_added_where_the_model_has_nothing():
    class Fixed:
        name, version = "fixed", "1"

        def tag(self, sentences):
            return [[CharSpan(3, 12, "EVENT"), CharSpan(20, 25, "PER")] for _ in sentences]

    tagger = union.WithDates(Fixed())
    text = "On 12 June 2007 Mr. Jones died in 1990."
    assert tagger.tag([text]) == [
        [CharSpan(3, 12, "EVENT"), CharSpan(20, 25, "PER"), CharSpan(34, 38, "DATE")]
    ]
    assert tagger.name == "fixed+dates"
    assert load("dates").version in tagger.version


def test_taggers_are_imported_without_their_packages():
    program = (
        "import sys; from closedbook.corpora.taggers import load; load('dates')\n"
        "assert not {'spacy', 'torch', 'transformers', 'apache_beam'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "module", [module.name for module in pkgutil.iter_modules(taggers.__path__)]
)
def test_examples_in_docstrings_run(module):
    full = importlib.import_module(f"{loading.__package__}.{module}")
    assert doctest.testmod(full).failed == 0
