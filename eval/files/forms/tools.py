"""Rows as other tools write them, where the names of their keys do not say it all.

Each tool has a test of a row and a way to put it under our names. Where a tool's rows say more,
such as a task, it is taken along as `task` or `split`; what is not text or a number is left.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import shown

Row = Mapping[str, object]

_ASKED = re.compile(  # the last question of a prompt with examples
    r"(?:.*\n|\A)\s*(?:Q|Question)\s*:\s*(.*?)\s*(?:\n\s*(?:A|Answer)\s*:\s*)?\Z", re.DOTALL
)
_INSTRUCTION = re.compile(r"### Instruction:\s*(.*?)\s*(?:### Input:|### Response:|\Z)", re.S)


@dataclasses.dataclass(frozen=True)
class Tool:
    """A tool's rows.

    Attributes:
        name: For people.
        matches: Whether a row is one of its.
        convert: A row under our names; None passes over a row that repeats another.
        left_out: Why `convert` passes rows over, in words.
        needs_gold: Whether the answers are in another file.
    """

    name: str
    matches: Callable[[Row], bool]
    convert: Callable[[Row], dict[str, object] | None]
    left_out: str = ""
    needs_gold: bool = False


def _harness() -> Tool:
    first: dict[str, str] = {}  # the filter of each task that is read

    def convert(row: Row) -> dict[str, object] | None:
        used = str(row.get("filter", ""))
        if used != first.setdefault("filter", used):
            return None
        doc = row["doc"]
        doc = doc if isinstance(doc, Mapping) else {"question": doc}
        said = row.get("filtered_resps") or row.get("resps")
        while isinstance(said, list) and said and isinstance(said[0], list):
            said = said[0]
        if isinstance(said, list) and said and not isinstance(said[0], str):
            raise UserError(
                f'"resps" is {shown(row.get("resps"))}: log-likelihoods of choices, and no free '
                "answer; give the samples of a task that generates"
            )
        kept = {key: value for key, value in row.items() if isinstance(value, float)}
        return {
            **kept,
            "id": row.get("doc_id"),
            "question": _harness_question(doc, row.get("arguments")),
            "answers": _harness_answers(doc, row.get("target")),
            "prediction": said,
        }

    return Tool(
        "samples of lm-evaluation-harness",
        lambda row: "doc" in row and ("resps" in row or "filtered_resps" in row),
        convert,
        "another filter's row of the same question",
    )


def _harness_question(doc: Row, arguments: object) -> object:
    for key in ("question", "query", "problem", "input", "Question"):
        if isinstance(doc.get(key), str):
            return doc[key]
    while isinstance(arguments, Mapping | list) and arguments:
        inside = arguments.values() if isinstance(arguments, Mapping) else arguments
        arguments = next(iter(inside))
    if isinstance(arguments, str):
        asked = _ASKED.search(arguments)
        return asked[1] if asked else arguments
    raise UserError(f'"doc" is {shown(doc)} and has no question')


def _harness_answers(doc: Row, target: object) -> object:
    """All aliases where the task's document has them; its target may be one of them alone."""
    answer = doc.get("answer", doc.get("answers"))
    if isinstance(answer, Mapping) and "aliases" in answer:  # TriviaQA
        return answer
    if isinstance(answer, list) and answer and all(isinstance(each, str) for each in answer):
        return answer
    return target if target is not None else answer


def _dpr(row: Row) -> dict[str, object]:
    found = [each for each in _listed(row["predictions"]) if isinstance(each, Mapping)]
    if not found:
        raise UserError(
            f'"predictions" is {shown(row["predictions"])}; it must be a list of objects'
        )
    best = max(found, key=_top_k)  # the reader's answer out of most passages
    return {
        "question": row["question"],
        "answers": row["gold_answers"],
        "prediction": best.get("prediction"),
    }


def _top_k(row: Row) -> float:
    value = row.get("top_k")
    return value if isinstance(value, int | float) else 0


def _flashrag(row: Row) -> dict[str, object]:
    output = row["output"]
    assert isinstance(output, Mapping)  # as `matches` asked
    return {
        "id": row.get("id"),
        "question": row.get("question"),
        "answers": row["golden_answers"],
        "prediction": output["pred"],
    }


def _kilt(row: Row) -> dict[str, object]:
    """A KILT file of predictions: its gold answers are in KILT's own file of the same form."""
    said = [each.get("answer") for each in _listed(row["output"]) if isinstance(each, Mapping)]
    answers = [each for each in said if each is not None]
    return {"id": row.get("id"), "question": row.get("input"), "prediction": answers[:1] or None}


def is_kilt(row: Row) -> bool:
    """Whether a row is KILT's: "input", and a list of objects with "answer" under "output"."""
    output = row.get("output")
    answers = isinstance(output, list) and all(
        isinstance(each, Mapping) and ("answer" in each or "provenance" in each) for each in output
    )
    return "input" in row and answers


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


def instruction(prompt: object) -> object:
    """The question in a prompt after Alpaca's template, as self-RAG has it; else the prompt."""
    found = _INSTRUCTION.search(prompt) if isinstance(prompt, str) else None
    return found[1] if found else prompt


def of(row: Row) -> Tool | None:
    """The tool whose row this is; None where the names of its keys say all.

    A tool is made anew, because it may note what it has seen of a file.
    """
    tools = (
        _harness(),
        Tool(
            "DPR's reader",
            lambda row: "gold_answers" in row and isinstance(row.get("predictions"), list),
            _dpr,
        ),
        Tool(
            "FlashRAG's intermediate data",
            lambda row: (
                "golden_answers" in row
                and isinstance(row.get("output"), Mapping)
                and "pred" in _mapping(row["output"])
            ),
            _flashrag,
        ),
        Tool("KILT's predictions", is_kilt, _kilt, needs_gold=True),
    )
    return next((tool for tool in tools if tool.matches(row)), None)


def _mapping(value: object) -> Row:
    return value if isinstance(value, Mapping) else {}
