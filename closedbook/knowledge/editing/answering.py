"""What a model says freely: greedy, no gold tokens, to its natural end; and whether it is right."""

import functools
from collections.abc import Sequence

from closedbook.eval import metrics, normalize
from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.parameters import Params
from closedbook.tasks.facts import templates

GREEDY = DecodeSettings(method="greedy", max_decode_length=32)
# Of a model that goes on with its prompt nothing but a line's beginning is looked at.
LINE = DecodeSettings(method="greedy", max_decode_length=16)
# A batch is filled up to 8 or 64 rows, and for a large model four of 8 cost less than one of 64.
_FEW, _MANY = 8, 32
_ASKED, _ANSWER = "Q: ", "\nA:"


def answers(model: LoadedModel, params: Params, questions: Sequence[str]) -> list[str]:
    """The free answer to each question; equal ones are asked once."""
    asked = list(dict.fromkeys(questions))
    way, step = GREEDY, len(asked)
    if model.config.continues_prompt:
        way, step = LINE, _FEW if len(asked) <= _MANY else step
    said: dict[str, str] = {}
    for start in range(0, len(asked), max(step, 1)):
        some = asked[start : start + step]
        found = model.ask(some, way, params=params)
        said |= zip(some, (each.text for each in found), strict=True)
    return [said[question] for question in questions]


@functools.lru_cache(maxsize=1 << 16)
def right(answer: str, objects: tuple[str, ...], *, begins: bool = False) -> bool:
    """Exact match under SQuAD's normalisation with one of the objects.

    Args:
        answer: What the model says.
        objects: What is right.
        begins: Whether an answer need only begin with one of them, word by word: the answer of a
            model that goes on with a sentence has no end of its own (`goes_on`).

    >>> right("English, and she", ("English",)), right("English, and", ("English",), begins=True)
    (False, True)
    >>> right("Englishmen", ("English",), begins=True)
    False
    """
    if not begins:
        return metrics.is_right(answer, objects)
    said = _words(answer)
    return any(words and said[: len(words)] == words for words in map(_words, objects))


def _words(text: str) -> list[str]:
    return normalize.normalizer("squad")(text).split()


def framed(question: str) -> str:
    """A question as a model is asked that goes on with its prompt: the line after it answers.

    >>> framed("What is the capital of {}?")
    'Q: What is the capital of {}?\\nA:'
    """
    return f"{_ASKED}{question}{_ANSWER}"


def unframed(text: str) -> str:
    """The question in a text that `framed` made; other texts as they are."""
    if text.startswith(_ASKED) and text.endswith(_ANSWER):
        return text[len(_ASKED) : -len(_ANSWER)]
    return text


def goes_on(model: LoadedModel, prompt: str) -> bool:
    """Whether an answer is the rest of a sentence, so that more may follow what is right.

    Args:
        model: Who answers.
        prompt: With or without its subject.
    """
    asks = prompt.endswith(_ANSWER) or prompt.rstrip().endswith("?")
    return model.config.continues_prompt and not asks and templates.OBJECT not in prompt
