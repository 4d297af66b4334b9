"""The tasks under T5X's own commands, as the pages say."""

import ast
import pathlib
import re

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own, at import

seqio = pytest.importorskip("seqio")

from closedbook.tasks import registry  # noqa: E402
from closedbook.tasks.specs import SPECS  # noqa: E402


@pytest.mark.parametrize("page", ["README.md", "docs/t5x.md"])
def test_the_lines_of_gin_that_are_documented_give_t5x_the_tasks_vocabulary(page, monkeypatch):
    text = (pathlib.Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    bound = dict(re.findall(r"^seqio\.SentencePieceVocabulary\.(\w+) = (.+)$", text, re.MULTILINE))
    theirs = seqio.SentencePieceVocabulary(**{k: ast.literal_eval(v) for k, v in bound.items()})
    monkeypatch.delenv("CLOSEDBOOK_VOCABULARY", raising=False)
    for name in ("natural_questions_open", "web_questions_open", "trivia_qa_open"):
        made = registry.build(SPECS[name])
        # T5X's `verify_matching_vocabs`
        assert {each.vocabulary == theirs for each in made.output_features.values()} == {True}
        # Its finetune.gin asks for a cache, which the third line takes back.
        assert made.supports_caching
        with pytest.raises(AssertionError, match="does not exist in any of the task cache"):
            made.get_dataset(split="train", use_cached=True)
    assert re.search(r"^USE_CACHED_TASKS = False", text, re.MULTILINE)
