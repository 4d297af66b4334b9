"""What part a token plays in a prompt: by which averages over facts are taken."""

from collections.abc import Mapping

import numpy as np

from closedbook.knowledge.tracing.cases import Case

BEFORE = "before the subject"
FIRST, MIDDLE, LAST = (f"{each} subject token" for each in ("first", "middle", "last"))
NEXT, FURTHER, END = "first subsequent token", "further tokens", "last token"
START, ANSWER = "start of the answer", "answer tokens"
ROLES = (BEFORE, FIRST, MIDDLE, LAST, NEXT, FURTHER, END, START, ANSWER)


def places(case: Case, stack: str) -> dict[str, list[int]]:
    """The tokens of each role in what a stack reads, roles without tokens left out.

    As in kmeng01/rome a subject of one token is its first and its last, and the token after the
    subject may be the last of the prompt too. Before the subject, and in answers, that code looks
    at nothing; here these have roles of their own.
    """
    if case.row[: len(case.prompt.ids)] == case.prompt.ids:  # the decoder reads the prompt
        found = _of_prompt(case) | {ANSWER: list(range(len(case.prompt.ids), len(case.row)))}
    elif stack == "encoder":
        found = _of_prompt(case)
    else:
        found = {START: [0], ANSWER: list(range(1, len(case.row)))}
    return {role: tokens for role, tokens in found.items() if tokens}


def _of_prompt(case: Case) -> dict[str, list[int]]:
    first, limit, length = case.prompt.first, case.prompt.limit, len(case.prompt.ids)
    return {
        BEFORE: list(range(first)),
        FIRST: [first],
        MIDDLE: list(range(first + 1, limit - 1)),
        LAST: [limit - 1],
        NEXT: list(range(limit, min(limit + 1, length))),
        FURTHER: list(range(limit + 1, length - 1)),
        END: [length - 1],
    }


def means(effects: np.ndarray, roles: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    """The mean of effects [tokens, layers] over the tokens of each role, [layers] each."""
    return {role: effects[tokens].mean(axis=0) for role, tokens in roles.items()}
