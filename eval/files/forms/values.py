"""What people write for an answer or a prediction, as text."""

import ast
from collections.abc import Mapping

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import shown

_TEXT_KEYS = ("text", "answer", "content", "value", "prediction", "output")


def texts(value: object, name: str) -> list[str]:
    """All acceptable answers: of a text, a number, a list in lists, SQuAD's or TriviaQA's object.

    Raises:
        UserError: It holds something else.

    >>> texts([["Rhine"], ["the Rhine"]], "answers"), texts(1945, "answers"), texts(None, "answers")
    (['Rhine', 'the Rhine'], ['1945'], [])
    >>> texts({"value": "Rhine", "aliases": ["the Rhine", "Rhine"]}, "answers")
    ['Rhine', 'the Rhine']
    """
    if value is None:
        return []
    if isinstance(value, Mapping):
        key = next((key for key in _TEXT_KEYS if key in value), None)
        if key is None and "aliases" not in value:
            raise UserError(f'"{name}" is {shown(value)}; it must be a list of strings')
        inside = [] if key is None else [value[key]]
        return texts([*inside, value.get("aliases")], name)
    if isinstance(value, list | tuple):
        return list(dict.fromkeys(each for item in value for each in texts(item, name)))
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        return _listed(value)
    return [text(value, name)]


def text(value: object, name: str) -> str:
    """A text or a number as text; a whole number that a table made 1945.0 is 1945 again.

    Raises:
        UserError: It is something else.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise UserError(f'"{name}" is {shown(value)}; it must be a string')


def predictions(value: object, name: str) -> list[str]:
    """What a model said, best first; nothing for null.

    Raises:
        UserError: It is no text, number, list or message of a chat.
    """
    if value is None:
        return []
    if isinstance(value, Mapping):
        key = next((key for key in _TEXT_KEYS if key in value), None)
        if key is None:
            raise UserError(f'"{name}" is {shown(value)}; it must be a string')
        return predictions(value[key], name)
    if isinstance(value, list | tuple):
        return [each for item in value for each in predictions(item, name)]
    return [text(value, name)]


def question(value: object, name: str) -> str:
    """A question, or the last thing that a user says in a chat.

    Raises:
        UserError: It is neither.
    """
    if isinstance(value, list | tuple):
        said = [each for each in value if isinstance(each, Mapping)]
        asked = [each for each in said if each.get("role") in ("user", "human", "HUMAN")]
        if not said:
            raise UserError(f'"{name}" is {shown(value)}; it must be a string')
        return question((asked or said)[-1], name)
    if isinstance(value, Mapping):
        content = next((value[key] for key in ("content", "prompt", "text") if key in value), None)
        if isinstance(content, list):  # of parts: text, images
            parts = [each.get("text") for each in content if isinstance(each, Mapping)]
            return " ".join(part for part in parts if isinstance(part, str))
        return text(content, name)
    return text(value, name)


def _listed(value: str) -> list[str]:
    """A list of strings that a template wrote as text; any other text is itself."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [value]
    whole = isinstance(found, list) and all(isinstance(each, str) for each in found)
    return found if whole and found else [value]
