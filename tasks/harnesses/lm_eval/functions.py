"""What the task files of this folder call."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from closedbook.errors import UserError
from closedbook.tasks.harnesses import scoring

if TYPE_CHECKING:
    import datasets

_PROMPT = "Question: {question}\nAnswer:"


def process_docs(dataset: "datasets.Dataset") -> "datasets.Dataset":
    """Rows of any of the data sets as question, answers and prompt."""
    return dataset.map(_row, remove_columns=dataset.column_names)


def _row(doc: Mapping[str, Any]) -> dict[str, Any]:
    answers = doc.get("answers", doc.get("answer"))
    if isinstance(answers, Mapping):  # TriviaQA
        answers = answers["aliases"]
    question = str(doc["question"]).strip()
    asked = question if question.endswith(("?", ".")) else f"{question}?"
    prompt = doc.get("prompt") or _PROMPT.format(question=asked)
    return {"question": question, "answers": list(answers), "prompt": prompt}


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """The scores of one answer, by the names that the task files list."""
    found = scoring.score(doc["question"], doc["answers"], results[0].strip())
    return {**scoring.values(found), "adjusted": (found.right, found.answerable)}


def adjusted(items: Sequence[tuple[float, float]]) -> float:
    """Right answers among the questions that can be answered."""
    rights, answerables = zip(*items, strict=True)
    return scoring.adjusted(rights, answerables)


def atlas(prompt: str = _PROMPT, **_: object) -> "dict[str, datasets.Dataset]":
    """The atlas's questions: test are facts that no question of training asks about.

    Args:
        prompt: What the model reads, with {question} in it (`--metadata`).
    """
    from closedbook.tasks.atlas import corpus

    return {split: _dataset(list(corpus.questions(split)), prompt) for split in ("train", "test")}


def file(
    file: str | None = None, prompt: str = _PROMPT, **_: object
) -> "dict[str, datasets.Dataset]":
    """Questions of a user's own file.

    Args:
        file: Questions and answers in any form that `closedbook analyze --train` reads
            (`--metadata`).
        prompt: As in `atlas`.

    Raises:
        UserError: No file is given, or it cannot be read.
    """
    from closedbook.eval.files import gold

    if not file:
        raise UserError('closedbook_file needs --metadata \'{"file": "questions.jsonl"}\'')
    rows = [{"question": row.question, "answers": list(row.answers)} for row in gold.read(file)]
    return {"test": _dataset(rows, prompt)}


def _dataset(rows: Sequence[Mapping[str, Any]], prompt: str) -> "datasets.Dataset":
    import datasets

    if "{question}" not in prompt:
        raise UserError(f"the prompt {prompt!r} has no {{question}} in it")
    return datasets.Dataset.from_list(
        [
            {
                "question": row["question"],
                "answers": list(row["answers"]),
                "prompt": prompt.replace("{question}", row["question"]),
            }
            for row in rows
        ]
    )
