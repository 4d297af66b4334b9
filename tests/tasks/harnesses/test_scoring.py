"""What harnesses get for an answer."""

import doctest
import math
import subprocess
import sys

import yaml

from closedbook.tasks.harnesses import LM_EVAL, scoring
from closedbook.tasks.harnesses.lm_eval import functions


def test_protocols_the_judge_and_the_flag_are_told_apart():
    found = scoring.values(scoring.score("where is it", ["St. Paul's"], "st. pauls"))
    assert found["exact_match"] == found["exact_match_nq_open"] == 1
    assert found["exact_match_trivia_qa"] == 0  # an apostrophe is a space there
    assert found["exact_match_lm_eval"] == 0  # cut at the full stop
    found = scoring.values(scoring.score("when does it end", ["April 15"], "April 15th"))
    assert (found["exact_match"], found["judged_right"]) == (0, 1)
    asked = "who is the prime minister of japan"
    found = scoring.values(scoring.score(asked, ["Shinzo Abe"], "Fumio Kishida"))
    assert (found["judged_right"], found["answerable"]) == (0, 0)


def test_examples_in_docstrings_run():
    found = doctest.testmod(scoring)
    assert found.failed == 0
    assert found.attempted >= 3


def test_questions_that_cannot_be_answered_leave_the_adjusted_score():
    assert functions.adjusted([(1.0, 1.0), (0.0, 1.0), (0.0, 0.0), (1.0, 0.0)]) == 0.5
    assert math.isnan(functions.adjusted([(1.0, 0.0)]))


class _Loader(yaml.SafeLoader):
    """Reads `!function` as the name that follows it."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def _functions(value):
    if isinstance(value, dict):
        return [name for each in value.values() for name in _functions(each)]
    if isinstance(value, list):
        return [name for each in value for name in _functions(each)]
    return [value] if str(value).startswith("closedbook.") else []


def test_task_files_name_functions_that_exist_and_scores_that_are_given():
    shared = yaml.load((LM_EVAL / "_shared_yaml").read_text(encoding="utf-8"), _Loader)
    files = sorted(LM_EVAL.glob("*.yaml"))
    assert len(files) >= 5
    for file in files:
        task = yaml.load(file.read_text(encoding="utf-8"), _Loader)
        assert task["task"] == file.stem
        for name in _functions(shared) + _functions(task):
            module, _, function = name.rpartition(".")
            assert module == functions.__name__
            assert callable(getattr(functions, function))
    doc = {"question": "when does it end", "answers": ["April 15"]}
    given = functions.process_results(doc, ["April 15th"])
    assert set(given) == {metric["metric"] for metric in shared["metric_list"]}


def test_the_folder_is_told():
    words = [sys.executable, "-m", "closedbook.tasks.harnesses"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert told == f"{LM_EVAL}\n"
