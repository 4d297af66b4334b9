"""The DrQA baseline: what a retriever and a reader answer from a text corpus.

The facts' questions are asked as they are. A statement becomes its question with "what" in the
object's place ("The capital of Peru is what?"); a row of one's own may give the natural question as
"question", as LAMA asked DrQA the questions of SQuAD that its statements were made of.
"""

import dataclasses
import functools
import hashlib
import logging
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from closedbook.eval import metrics, normalize
from closedbook.eval.report import numbers
from closedbook.knowledge.probing.baselines import reader
from closedbook.knowledge.probing.baselines.columns import Baseline
from closedbook.knowledge.probing.baselines.passages import Index, Passage
from closedbook.knowledge.probing.kept_rows import KeptRows, Row
from closedbook.knowledge.progress import Count, Progress, silent
from closedbook.knowledge.torch_folders import TorchModel
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact, Facts, subject_key

_log = logging.getLogger(__name__)
_AT_ONCE = 256  # questions that are looked up, read and kept together
FOUND = (1, 5)  # passages of which retrieval is judged; a reader reads the most of them
_END = re.compile(r"[\s.!?]*$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieved:
    """What retrieval and reading gave.

    Attributes:
        rows: For each fact "question", "passages" (the best, [title, text]), and with a reader
            "answer", "score" and "right".
        baselines: Their columns.
    """

    rows: list[Row]
    baselines: list[Baseline]


def question(fact: Fact) -> str:
    """What is asked.

    >>> statement = Fact(id="1", subject="Peru", relation="r", object="Lima",
    ...                  prompt="The capital of {} is [Y] .")
    >>> question(statement)
    'The capital of Peru is what?'
    """
    given = fact.meta.get("question")
    if isinstance(given, str) and given.strip():
        return " ".join(given.split())
    if fact.style == "question":
        return " ".join(fact.asked().split())
    asked = "what".join(templates.around_object(fact.prompt, fact.subject))
    return _END.sub("", " ".join(asked.split())) + "?"


def retrieve(
    facts: Facts,
    passages: Sequence[Passage],
    model: TorchModel | None = None,
    *,
    natural: Mapping[str, str] | None = None,
    words: bool = False,
    keep: pathlib.Path | None = None,
    progress: Progress = silent,
) -> Retrieved:
    """Looks the facts' questions up in a corpus, and reads answers out of what was found.

    Args:
        facts: What is asked.
        passages: Of the corpus.
        model: The reader; None to judge retrieval alone.
        natural: Id of a fact -> its natural question, where the data has them.
        words: Whether answers are single words, as where LAMA's ranking is of single tokens.
        keep: A folder for what was found and read. What it holds of the same questions, corpus
            and reader is not looked up again.
        progress: Is told a step, how much is done, and of how much.
    """
    asked = [(natural or {}).get(fact.id) or question(fact) for fact in facts.facts]
    right = facts.right()
    answers = [sorted(right[subject_key(fact)]) for fact in facts.facts]
    reads = None if model is None else model.sha256
    kept = KeptRows(keep, [reads, words, _digest(passages)], "retrieved")

    @functools.cache
    def index() -> Index:
        progress("indexing", 0, 1)
        return Index(passages)

    rows: list[Row] = []
    for first in range(0, len(asked), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        given = repr((asked[part], answers[part])).encode()
        found = kept.read(given)
        if found is None:
            best = [[passages[n] for n in of] for of in index().best(asked[part], max(FOUND))]

            def told(done: int, before: int = first) -> None:
                progress("reading", before + done, len(asked))

            found = _rows(asked[part], answers[part], best, model, words, told)
            kept.write(found, given)
        rows += found
    held = np.array([np.inf if (at := row.pop("held")) is None else at for row in rows])
    if missing := sum(not row["passages"] for row in rows):
        _log.warning(
            "retrieval finds nothing for %d of %d questions: no passage has a word of theirs that "
            "stands in fewer than half of the %d passages (others count for nothing, as in DrQA); "
            "give a larger corpus",
            missing,
            len(rows),
            len(passages),
        )
    recall = Baseline(
        name="retrieval",
        label="retrieval",
        words="how often a right object stands in the best of "
        + numbers.counted(len(passages), "passage"),
        values={f"found@{k}": (held < k).astype(np.float64) for k in FOUND},
    )
    if model is None:
        return Retrieved(rows=rows, baselines=[recall])
    drqa = Baseline(
        name="drqa",
        label="DrQA",
        words=f"the best {'word' if words else 'span'} in the {max(FOUND)} passages that TF-IDF "
        f"finds among {len(passages):,}, right where it is exactly a right object",
        values={"P@1": np.array([float(row["right"]) for row in rows])},
    )
    return Retrieved(rows=rows, baselines=[drqa, recall])


def _rows(
    asked: Sequence[str],
    answers: Sequence[Sequence[str]],
    found: Sequence[Sequence[Passage]],
    model: TorchModel | None,
    words: bool,
    progress: Count,
) -> list[Row]:
    """What was found for each question, and where there is a reader, read."""
    rows: list[Row] = [
        {
            "question": text,
            "passages": [[each.title, each.text] for each in of],
            "held": _first_with(names, of),
        }
        for text, names, of in zip(asked, answers, found, strict=True)
    ]
    if model is None:
        return rows
    spans = _read(model, asked, found, words, progress)
    for row, span, names in zip(rows, spans, answers, strict=True):
        said = {"answer": span.text, "score": span.score if span.text else None}
        row.update(**said, right=metrics.is_right(span.text, names))
    return rows


def _read(
    model: TorchModel,
    asked: Sequence[str],
    found: Sequence[Sequence[Passage]],
    words: bool,
    progress: Count,
) -> list[reader.Span]:
    """The best span among all passages of each question."""
    pairs = [(text, each.text) for text, of in zip(asked, found, strict=True) for each in of]

    def told(done: int) -> None:
        progress(len(asked) * done // len(pairs))

    spans = iter(reader.best_spans(model, pairs, words=words, progress=told))
    return [
        max((next(spans) for _ in of), key=lambda span: span.score, default=reader.NOTHING)
        for of in found
    ]


def _digest(passages: Sequence[Passage]) -> str:
    digest = hashlib.sha256()
    for each in passages:
        digest.update(repr((each.title, each.text)).encode())
    return digest.hexdigest()


def _first_with(names: Sequence[str], found: Sequence[Passage]) -> int | None:
    """The place of the first passage that says one of the names, as whole words."""
    wanted = [each for each in map(_words, names) if each.strip()]
    for place, passage in enumerate(found):
        text = _words(passage.text)
        if any(each in text for each in wanted):
            return place
    return None


def _words(text: str) -> str:
    return f" {normalize.squad(text)} "
