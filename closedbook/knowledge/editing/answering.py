"""What a model says freely: greedy, no gold tokens, to its natural end."""

import functools
from collections.abc import Sequence

from closedbook.eval import metrics
from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.parameters import Params

GREEDY = DecodeSettings(method="greedy", max_decode_length=32)


def answers(model: LoadedModel, params: Params, questions: Sequence[str]) -> list[str]:
    """The free answer to each question; equal ones are asked once."""
    asked = list(dict.fromkeys(questions))
    found = model.ask(asked, GREEDY, params=params) if asked else []
    said = dict(zip(asked, (each.text for each in found), strict=True))
    return [said[question] for question in questions]


@functools.lru_cache(maxsize=1 << 16)
def right(answer: str, objects: tuple[str, ...]) -> bool:
    """Exact match under SQuAD's normalisation with one of the objects."""
    return metrics.is_right(answer, objects)
