"""The same facts in other words: paraphrases, and prompts that deny what they ask.

Each wording of a fact is put to the model with the same candidates. What comes of it stands in the
fact's row: `wordings`, the first one among them, and `negated`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.probing import agreement
from closedbook.knowledge.probing import metrics as ranking
from closedbook.knowledge.probing.families.protocol import AnyPrompting
from closedbook.tasks.facts import negation
from closedbook.tasks.facts.form import Fact, Facts

FOLLOWED = "text follows the object"  # in all prompts of a fact: nothing can go on with them

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """Some facts of a list in one other wording each.

    Attributes:
        places: Where the facts stand in the list.
        texts: What the model reads.
        inputs: The ids of that.
        given: Whether the wording stands in the data; else it was built by a rule.
    """

    places: tuple[int, ...]
    texts: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    given: tuple[bool, ...]


def askable(facts: Facts, prompting: AnyPrompting[Any]) -> Facts:
    """The facts of which a prompt can be put to the model, with a count of the others.

    A model that goes on with its prompt needs one that ends with the object. All candidates of a
    relation stay, and so does what is right.

    Raises:
        UserError: No fact is left.
    """
    kept = [fact for fact in facts.with_all_right().facts if prompting.wordings(fact)]
    if len(kept) == len(facts):
        return facts
    if not kept:
        raise UserError(
            f"{facts.source}: no fact is left, for {FOLLOWED} in all prompts, and the model could "
            "only go on with them; use --style sentence, or give prompts that end with the object"
        )
    return facts.keep(kept, {FOLLOWED: len(facts) - len(kept)})


def paraphrases(facts: Sequence[Fact], prompting: AnyPrompting[Any]) -> tuple[Variant, ...]:
    """The second wordings of the facts that have one, the third ones, and so on.

    Of a model that goes on with its prompt only wordings that end with the object count.

    Raises:
        UserError: A prompt cannot be put to the model.
    """
    all_of = [prompting.wordings(fact) for fact in facts]
    most = max(map(len, all_of), default=0)
    return tuple(
        _variant(
            [
                (place, _in(facts[place], prompts[number]), True)
                for place, prompts in enumerate(all_of)
                if len(prompts) > number
            ],
            prompting,
        )
        for number in range(1, most)
    )


def negations(facts: Sequence[Fact], prompting: AnyPrompting[Any]) -> Variant | None:
    """The wording in which each fact is asked, denied; None where no fact has such a one.

    The data's own stands before that of `negation.negated`.

    Raises:
        UserError: A prompt cannot be put to the model.
    """
    rows = []
    for place, fact in enumerate(facts):
        asked = next(iter(prompting.wordings(fact)), None)
        if asked is None:
            continue
        given = fact.negated is not None and asked == fact.prompt
        denied = fact.negated if given else negation.negated(asked)
        if denied is not None:
            made = _in(fact, denied)
            if prompting.wordings(made):
                rows.append((place, made, given))
    return _variant(rows, prompting) if rows else None


def put_wordings(
    rows: Sequence[Row],
    variant: Variant,
    scores: np.ndarray,
    candidates: Sequence[str],
    index: np.ndarray,
    others: Sequence[np.ndarray] | None,
) -> None:
    """Adds the answers in one more wording to the rows of facts.

    Args:
        rows: Of all facts of the list.
        variant: The wording.
        scores: [facts of the variant, candidates].
        candidates: Their names.
        index: [facts], the right candidate of all facts of the list.
        others: Of them other right candidates, which are then not ranked; None: they are.
    """
    ranks, best = _ranked(variant, scores, index, others)
    for number, place in enumerate(variant.places):
        row = rows[place]
        first = {"prompt": row["prompt"], "answer": row["top"][0]["text"], "rank": row["rank"]}
        row.setdefault("wordings", [first]).append(
            {
                "prompt": variant.texts[number],
                "answer": candidates[best[number]],
                "rank": int(ranks[number]),
            }
        )


def put_negations(
    rows: Sequence[Row],
    variant: Variant,
    scores: np.ndarray,
    plain: np.ndarray,
    candidates: Sequence[str],
    index: np.ndarray,
    others: Sequence[np.ndarray] | None,
) -> None:
    """Adds what the model says when the prompt is denied to the rows of facts.

    Args:
        rows: Of all facts of the list.
        variant: The denied prompts.
        scores: [facts of the variant, candidates].
        plain: [facts, candidates], the scores of all facts under their own prompts.
        candidates: Their names.
        index: [facts], the right candidate of all facts of the list.
        others: Of them other right candidates, which are then not ranked; None: they are.
    """
    ranks, best = _ranked(variant, scores, index, others)
    own = plain[list(variant.places)]
    same = agreement.overlap(own, scores)
    alike = agreement.rank_correlation(own, scores)
    for number, place in enumerate(variant.places):
        rows[place]["negated"] = {
            "prompt": variant.texts[number],
            "given": variant.given[number],
            "answer": candidates[best[number]],
            "rank": int(ranks[number]),
            "same": None if np.isnan(same[number]) else bool(same[number]),
            "correlation": None if np.isnan(alike[number]) else round(float(alike[number]), 5),
        }


def _ranked(
    variant: Variant,
    scores: np.ndarray,
    index: np.ndarray,
    others: Sequence[np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of the objects, and the best candidates, [facts of the variant] each."""
    of = list(variant.places)
    removed = None if others is None else [others[place] for place in of]
    places = ranking.places(scores, index[of], removed)
    return ranking.rank(places), ranking.best(scores)[:, 0]


def _in(fact: Fact, prompt: str) -> Fact:
    return dataclasses.replace(fact, prompt=prompt, paraphrases=(), negated=None)


def _variant(rows: Sequence[tuple[int, Fact, bool]], prompting: AnyPrompting[Any]) -> Variant:
    worded = [fact for _, fact, _ in rows]
    return Variant(
        places=tuple(place for place, _, _ in rows),
        texts=tuple(prompting.text(fact) for fact in worded),
        inputs=tuple(map(tuple, prompting.inputs(worded))),
        given=tuple(given for _, _, given in rows),
    )
