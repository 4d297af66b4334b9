"""A fact as it is traced: what the model reads, where the subject stands, what it answers."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError
from closedbook.eval import metrics
from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge import subject_tokens
from closedbook.knowledge.leaving_out import CannotBePut, LeftOut
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.subject_tokens import SubjectPrompt
from closedbook.tasks.facts.form import Fact, Facts
from closedbook.vocabulary import sentinel

Score = Literal["answer", "first"]
SCORES: tuple[Score, ...] = get_args(Score)
_GREEDY = DecodeSettings(method="greedy")
_AT_ONCE = 64  # prompts whose first token is asked for together


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What is traced.

    Attributes:
        id: Of the fact.
        prompt: With the subject's tokens.
        answer: The model's own, which is followed.
        row: Ids that the decoder reads: its first input and the answer, or the prompt and it.
        tokens: What each of them stands for, for people.
        scored: For each place of `row` the token after it that is scored, or -1.
        relation: Of the fact; "" for a prompt.
    """

    id: str
    prompt: SubjectPrompt
    answer: str
    row: tuple[int, ...]
    tokens: tuple[str, ...]
    scored: tuple[int, ...]
    relation: str = ""

    @property
    def targets(self) -> tuple[int, ...]:
        """The tokens whose probability is followed."""
        return tuple(token for token in self.scored if token >= 0)


def default_score(model: LoadedModel) -> Score:
    """The paper's for a model that goes on with its prompt; else the probability of all tokens."""
    return "first" if model.config.continues_prompt else "answer"


def of_prompt(
    model: LoadedModel, prompt: SubjectPrompt, *, score: Score | None = None, id: str = "prompt"
) -> Case:
    """A prompt with the model's own greedy answer.

    Args:
        model: Who is asked.
        prompt: What.
        score: Whether the whole "answer" is followed, or its "first" token; default: of the model.
        id: Of the case.

    Raises:
        UserError: The model answers nothing, or fills gaps and the prompt has none.
    """
    prompting = Prompting.of(model)
    if prompting.way in ("sentinels", "bare") and sentinel(0) not in prompt.text:
        raise UserError(
            f"the model fills gaps, and the prompt {prompt.text!r} has none; write {sentinel(0)} "
            "where the answer stands"
        )
    (found,) = _of_prompts(model, prompting, [prompt], [id], score)
    if isinstance(found, CannotBePut):
        raise found
    return found


def of_facts(
    model: LoadedModel, facts: Facts, prompting: Prompting, *, score: Score | None = None
) -> tuple[list[Case], int, LeftOut]:
    """The facts that the model knows, each with its own answer.

    A fact is known where the model's greedy answer is one of its objects (exact match); where the
    first token alone is followed after a prompt, where that token begins one of them.

    Args:
        model: Who is asked.
        facts: What.
        prompting: How.
        score: Whether the whole "answer" is followed, or its "first" token; default: of the model.

    Returns:
        The cases, how many facts the model does not know, and those that cannot be put to it.
    """
    left, prompts, asked = LeftOut(), list[SubjectPrompt](), list[Fact]()
    for fact in facts.facts:
        try:
            prompts.append(subject_tokens.of_fact(model, fact, prompting))
            asked.append(fact)
        except UserError as error:
            left.add(error)
    found = _of_prompts(model, prompting, prompts, [fact.id for fact in asked], score)
    known, unknown = [], 0
    matches = _begins if model.config.continues_prompt else _is_right
    for case, fact in zip(found, asked, strict=True):
        if isinstance(case, CannotBePut):
            left.add(case)
        elif matches(model, prompting, case, fact):
            known.append(dataclasses.replace(case, relation=fact.relation))
        else:
            unknown += 1
    return known, unknown, left


def _is_right(model: LoadedModel, prompting: Prompting, case: Case, fact: Fact) -> bool:
    return metrics.is_right(case.answer, list(fact.objects))


def _begins(model: LoadedModel, prompting: Prompting, case: Case, fact: Fact) -> bool:
    spelled = [pieces for _, pieces in prompting.spelled(fact.objects)]
    return any(pieces[:1] == case.targets[:1] for pieces in spelled if pieces)


def _of_prompts(
    model: LoadedModel,
    prompting: Prompting,
    prompts: Sequence[SubjectPrompt],
    ids: Sequence[str],
    score: Score | None,
) -> list[Case | CannotBePut]:
    """The case of each prompt, or what is wrong with it."""
    score = score or default_score(model)
    if not prompts:
        return []
    if model.config.continues_prompt:
        return _continued(model, prompts, ids, score)
    found = model.predictor(_GREEDY).predict_tokens(model.params, [p.ids for p in prompts])
    answers = [prompting.answer_in(each.text) for each in found]
    before: list[int] = []
    end = model.module.eos_id
    if prompting.way == "sentinels":
        before, end = model.vocabulary.encode(sentinel(0)), model.vocabulary.encode(sentinel(1))[0]
    cases: list[Case | CannotBePut] = []
    for prompt, id_, answer in zip(prompts, ids, answers, strict=True):
        pieces = model.vocabulary.encode(answer)
        if not pieces:
            cases.append(_silent(prompt))
            continue
        scored = [*pieces, end] if score == "answer" else pieces[:1]
        row = [model.config.begin_id, *before, *scored[:-1]]
        cases.append(
            Case(
                id=id_,
                prompt=prompt,
                answer=answer if score == "answer" else model.vocabulary.decode(pieces[:1]),
                row=tuple(row),
                tokens=("<start>", *(_piece(model, token) for token in row[1:])),
                scored=(*(-1 for _ in range(len(row) - len(scored))), *scored),
            )
        )
    return cases


def _continued(
    model: LoadedModel, prompts: Sequence[SubjectPrompt], ids: Sequence[str], score: Score
) -> list[Case | CannotBePut]:
    """Cases of a model that goes on with its prompt: the answer is what it writes next."""
    cases: list[Case | CannotBePut] = []
    if score == "answer":
        answers = [each.text for each in model.ask([p.text for p in prompts], _GREEDY)]
        pieces = [model.vocabulary.encode(f" {answer}") for answer in answers]
    else:
        pieces = [[token] for token in _first_tokens(model, prompts)]
        answers = [model.vocabulary.decode(row) for row in pieces]
    for prompt, id_, answer, scored in zip(prompts, ids, answers, pieces, strict=True):
        if not scored:
            cases.append(_silent(prompt))
            continue
        row = [*prompt.ids, *scored[:-1]]
        cases.append(
            Case(
                id=id_,
                prompt=prompt,
                answer=answer,
                row=tuple(row),
                tokens=(*prompt.tokens, *(_piece(model, token) for token in scored[:-1])),
                scored=(*(-1 for _ in range(len(prompt.ids) - 1)), *scored),
            )
        )
    return cases


def _silent(prompt: SubjectPrompt) -> CannotBePut:
    return CannotBePut(
        f"the model answers nothing to {prompt.text!r}, so that there is nothing to follow",
        "answered with nothing",
    )


def _first_tokens(model: LoadedModel, prompts: Sequence[SubjectPrompt]) -> list[int]:
    """The likeliest token after each prompt."""

    @jax.jit
    def after(params: dict, rows: jax.Array, last: jax.Array) -> jax.Array:
        logits = model.module.apply({"params": params}, rows)
        assert isinstance(logits, jax.Array)
        return jnp.argmax(logits[jnp.arange(len(rows)), last], axis=-1)

    length = max(len(prompt.ids) for prompt in prompts)
    at_once = min(_AT_ONCE, len(prompts))
    found: list[int] = []
    for first in range(0, len(prompts), at_once):
        some = prompts[first : first + at_once]
        rows = np.full((at_once, length), model.module.pad_id, np.int32)
        last = np.zeros(at_once, np.int32)
        for number, prompt in enumerate(some):
            rows[number, : len(prompt.ids)] = prompt.ids
            last[number] = len(prompt.ids) - 1
        found += np.asarray(after(model.params, rows, last))[: len(some)].tolist()
    return found


def _piece(model: LoadedModel, token: int) -> str:
    return model.vocabulary.decode([token]).strip() or f"<{token}>"
