"""A question with the answer that is explained, as ids that a model reads and is to say."""

import dataclasses
from collections.abc import Sequence

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing.prompts import Prompting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer and where in the decoder each of its tokens is predicted.

    Attributes:
        text: The answer.
        own: Whether the model gave it by itself.
        inputs: Ids that the encoder reads, or a decoder-only model's prompt.
        row: Ids that the decoder reads, the answer without its last token included.
        tokens: Ids of the answer, the end where it is scored included.
        first: The place in `row` whose logits predict the first of them.
        informative: Which token tells something: the first that is no blank, from 0.
    """

    text: str
    own: bool
    inputs: tuple[int, ...]
    row: tuple[int, ...]
    tokens: tuple[int, ...]
    first: int
    informative: int

    def at(self, place: int) -> int:
        """The place in `row` that predicts a token of the answer."""
        return self.first + place


def of_question(model: LoadedModel, question: str, text: str | None = None) -> Answer:
    """The model's own answer to a question, as `closedbook ask` gives it, or another one.

    Args:
        model: The model.
        question: Without prefix.
        text: An answer to be explained in the own one's stead.

    Raises:
        UserError: The question is empty, the model has no answer, or its vocabulary cannot write
            the one that is given.
    """
    if not question.strip():
        raise UserError('an empty question; give one like "What is the capital of France?"')
    try:
        question.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"the question {question[:60]!r} is not UTF-8 text") from error
    ((prompt),) = model.predictor().inputs(model.texts([question]))
    own = text is None
    if text is None:
        (found,) = model.ask([question])
        text, ids = found.text, list(found.tokens)
        if model.config.continues_prompt:
            ids = _up_to(model, ids, text)
        if not ids:
            raise UserError(
                f"the model's answer to {question[:60]!r} is empty; give one with --answer TEXT"
            )
    else:
        ids = list(Prompting.of(model).pieces_of(text))
        text = text.strip()
    return framed(model, prompt, ids, text, own=own)


def framed(
    model: LoadedModel,
    prompt: Sequence[int],
    ids: list[int],
    text: str,
    *,
    own: bool,
) -> Answer:
    """An answer's ids after a prompt's, and the end where answers have one."""
    continues = model.config.continues_prompt
    before = list(prompt) if continues else [model.config.begin_id]
    tokens = ids if continues else [*ids, model.module.eos_id]
    written = [bool(model.vocabulary.decode([token]).strip()) for token in ids]
    return Answer(
        text=text,
        own=own,
        inputs=tuple(prompt),
        row=(*before, *tokens[:-1]),
        tokens=tuple(tokens),
        first=len(before) - 1,
        informative=written.index(True) if any(written) else 0,
    )


def contrasted(model: LoadedModel, answer: Answer, place: int, text: str) -> int:
    """The id of the token that another answer has where a token of this one is explained.

    Args:
        model: The model.
        answer: What is explained.
        place: Which of its tokens, from 0.
        text: The other answer.

    Raises:
        UserError: The vocabulary cannot write it, or it has no other token there.
    """
    ids = list(Prompting.of(model).pieces_of(text))
    if not model.config.continues_prompt:
        ids.append(model.module.eos_id)
    if tuple(ids[:place]) != answer.tokens[:place]:
        raise UserError(
            f"{text!r} and {answer.text!r} part before token {place + 1}, so that the logits there "
            "do not decide between them; use --token 1"
        )
    if len(ids) <= place or ids[place] == answer.tokens[place]:
        raise UserError(
            f"{text!r} and {answer.text!r} have the same token {place + 1}; explain a later one "
            f"with --token {place + 2}, or give another contrast"
        )
    return ids[place]


def _up_to(model: LoadedModel, ids: list[int], text: str) -> list[int]:
    """The first ids that write the answer's line."""
    for many in range(1, len(ids) + 1):
        lines = model.vocabulary.decode(ids[:many]).splitlines()
        if next((line.strip() for line in lines if line.strip()), "") == text:
            return ids[:many] if text else []
    return ids
