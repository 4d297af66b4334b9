"""Which key or column of somebody's rows is the question, which the answers, which the prediction.

Names that are in use are understood, whatever their case; `--columns question=Q,answers=golds`
says it for all others. A name may lead into a row: `doc.question`, `resps.0.0`.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from closedbook.errors import UserError, unknown_name

FIELDS = ("question", "answers", "prediction", "id", "score")
_NEEDED = FIELDS[:3]

_MOST_NAMES = 12  # in a message
_MOST_OF_A_CELL = 40  # characters, likewise
_QUESTION = (
    "question",
    "question_text",
    "query",
    "problem",
    "input",
    "inputs",
    "prompt",
    "instruction",
    "user_input",
)
_ANSWERS = (
    "answers",
    "gold_answers",
    "golden_answers",
    "golds",
    "gold",
    "gold_answer",
    "golden_answer",
    "ground_truth_aliases",
    "ground_truths",
    "ground_truth",
    "reference_answers",
    "reference_answer",
    "references",
    "reference",
    "correct_answers",
    "correct_answer",
    "possible_answers",
    "expected_answers",
    "expected_answer",
    "expected",
    "targets",
    "target",
    "true_answer",
    "aliases",
    "answer",
    "label",
)
_PREDICTION = (
    "prediction",
    "predictions",
    "predicted_answer",
    "predicted",
    "prediction_text",
    "model_answer",
    "model_prediction",
    "model_response",
    "model_output",
    "generated_answer",
    "generated_text",
    "generation",
    "response",
    "pred",
    "pred_answer",
    "completion",
    "llm_answer",
    "system_answer",
    "hypothesis",
    "output",
    "outputs",
)
_ID = (
    "id",
    "qid",
    "_id",
    "question_id",
    "questionid",
    "query_id",
    "example_id",
    "doc_id",
    "uid",
    "guid",
)


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where a row has what.

    Attributes:
        paths: Field -> name in the row.
        given: Whether a user said so; names that were guessed are looked up in each row anew.
    """

    paths: Mapping[str, str]
    given: bool = False

    def mapped(self, row: Mapping[str, object]) -> dict[str, object]:
        """The row's values under our names; what is not there is missing."""
        found = {}
        for field, path in self.paths.items():
            there, value = _at(row, path)
            if there:
                found[field] = value
        return found


def parse(text: str) -> dict[str, str]:
    """What `--columns` says: "question=Q,answers=golds".

    Raises:
        UserError: It says something else.

    >>> parse("question=doc.question, prediction=out")
    {'question': 'doc.question', 'prediction': 'out'}
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        field, equals, name = (each.strip() for each in part.partition("="))
        if not equals or not name:
            raise UserError(
                f"--columns has {part.strip()!r}; give pairs with commas between, such as "
                "question=Q,answers=golds,prediction=output"
            )
        if field not in FIELDS:
            raise unknown_name("field of --columns", field, FIELDS)
        if field in found:
            raise UserError(f"--columns names {field} twice; keep one")
        found[field] = name
    return found


def guess(names: Iterable[str], given: Mapping[str, str] | None = None) -> Columns:
    """The names of a row's keys that are in use for our fields.

    "answer" is the gold answer, unless the rows have another name for that and none for the
    prediction. Fields that cannot be told are left out.

    >>> guess(["problem", "answer", "response"]).paths
    {'question': 'problem', 'answers': 'answer', 'prediction': 'response'}
    >>> guess(["Question", "ground_truth", "answer"]).paths
    {'question': 'Question', 'answers': 'ground_truth', 'prediction': 'answer'}
    """
    given = dict(given or {})
    free = [name for name in names if name not in given.values()]
    plain = {_plain(name): name for name in reversed(free)}

    def first(choices: Sequence[str]) -> str | None:
        return next((plain[choice] for choice in choices if choice in plain), None)

    found = {
        "question": given.get("question") or first(_QUESTION),
        "answers": given.get("answers") or first(_ANSWERS),
        "prediction": given.get("prediction") or first(_PREDICTION),
        "id": given.get("id") or first(_ID),
        "score": given.get("score") or ("score" if "score" in free else None),
    }
    if found["prediction"] is None and "answer" in plain and found["answers"] != plain["answer"]:
        found["prediction"] = plain["answer"]
    if found["prediction"] == found["answers"]:
        found["prediction"] = None
    paths = {field: name for field, name in found.items() if name is not None}
    return Columns(paths, bool(given))


def are_names(cells: Sequence[str]) -> bool:
    """Whether the first line of a table names its columns: two of our fields are among them.

    >>> are_names(["question", "answers"]), are_names(["who was first", "Ann"])
    (True, False)
    """
    return len(set(guess([cell.strip() for cell in cells]).paths) & set(_NEEDED)) > 1


def check(
    columns: Columns,
    names: Sequence[str],
    needed: Iterable[str] = _NEEDED,
    *,
    line: Sequence[str] | None = None,
) -> None:
    """Refuses rows of which it is not known where they have what is needed.

    Args:
        columns: As guessed or given.
        names: The keys of the first row.
        needed: The fields.
        line: The first line, where the rows are of a table without column names.

    Raises:
        UserError: With the keys that there are, and the `--columns` that would do.
    """
    missing = [field for field in needed if field not in columns.paths]
    if not missing:
        return
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    rest = iter([name for name in names if name not in columns.paths.values()])
    guessed = [f"{field}={columns.paths.get(field) or next(rest, '...')}" for field in needed]
    if line is not None:
        there = " | ".join(cell[:_MOST_OF_A_CELL] for cell in line[:_MOST_NAMES])
        raise UserError(
            f"the table has no line of column names that we know; its first line has {len(names)} "
            f"cells: {there}; if it is a row, say which column is which by its number: --columns "
            f"{','.join(guessed)}; if it holds names, by these; or write "
            "question,answers,prediction over the table"
        )
    raise UserError(
        f"no {' and no '.join(missing)} among the keys {shown}; say which key is which: "
        f"--columns {','.join(guessed)}"
    )


def _at(row: Mapping[str, object], path: str) -> tuple[bool, object]:
    """Whether a row has a name, or a path of names and numbers with dots between; and its value."""
    if path in row:
        return True, row[path]
    value: object = row
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return False, None
    return True, value


def _plain(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", name.strip()).casefold()
