"""The cases of a data set's edits, or of false objects for facts of it that the model knows."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from closedbook.errors import UserError, listed
from closedbook.knowledge.editing import presets
from closedbook.knowledge.editing.evaluation import cases, counterfactuals, forced
from closedbook.knowledge.editing.evaluation.cases import Case
from closedbook.knowledge.leaving_out import CannotBePut, LeftOut
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.progress import Progress, silent
from closedbook.tasks.facts import read_facts, templates
from closedbook.tasks.facts.form import Fact

_QUESTIONS = 8  # of an edit, if the data brings no more: one batch of a large model
_AT_ONCE = 64  # facts that are asked until enough are known


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataCases:
    """The cases of a data set.

    Attributes:
        cases: One per edit.
        left: Facts that cannot be put to the model.
    """

    cases: list[Case]
    left: LeftOut


def read(
    model: LoadedModel,
    data: str,
    number: int,
    *,
    others: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> DataCases:
    """The first edits of a data set that can be made; without targets, counterfactual ones.

    Args:
        model: Who is edited.
        data: Where the facts lie.
        number: Edits.
        others: Facts of other subjects that the model knows and that are asked after each edit;
            None for as many as make eight questions of it.
        seed: Which facts, and which targets, where these are drawn.
        progress: Told what goes on.

    Raises:
        UserError: The data cannot be read, or holds too few facts that can be edited.
    """
    facts, left = read_facts(data).facts, LeftOut()
    drawn = all(fact.target is None for fact in facts)
    first = facts[0]
    own = 2 + len(first.paraphrases) + len(first.neighbours)  # with the prompt and its denial
    wanted = max(0, _QUESTIONS - own) if others is None else others
    known: list[Fact] = []
    if drawn:
        usable = [found for fact in facts if (found := _put(model, fact, left))]
        known = _known(model, usable, number + wanted, seed, progress)
        pairs = counterfactuals.drawn(usable, known, len(known), seed)
        targeted = (dataclasses.replace(fact, target=target) for fact, target in pairs)
    else:
        targeted = (fact for fact in facts if fact.target is not None)
    checked = (found for fact in targeted if (found := _put(model, fact, left)))
    chosen = list(itertools.islice(checked, number))
    edited = {fact.id for fact in chosen}
    if wanted and not drawn:
        rest = [fact for fact in facts if fact.id not in edited]
        usable = [found for fact in rest if (found := _put(model, fact, LeftOut()))]
        known = _known(model, usable, wanted + 1, seed, progress)
    known = sorted(known, key=lambda fact: fact.id in edited)  # those that are edited last
    if len(chosen) < number:
        raise UserError(
            f"{data} holds {len(chosen)} facts that can be edited, not {number}; ask for fewer "
            'edits, or give CounterFact, zsRE, QAEdit or facts with a "target"'
            + "".join(f"\n{line}" for line in [listed(left.lines())] if line)
        )
    made = list[cases.Case]()
    for count, fact in enumerate(chosen):
        progress("making edits", count, number)
        unrelated = [each for each in known if each.subject != fact.subject][:wanted]
        edit = presets.of_fact(model, fact)
        made.append(cases.of_data(model, fact, edit, unrelated))
    return DataCases(cases=made, left=left)


def _put(model: LoadedModel, fact: Fact, left: LeftOut) -> Fact | None:
    """The fact as the model is asked; None, and counted, where that cannot be."""
    try:
        if not fact.subject:
            raise CannotBePut(f"fact {fact.id} ({fact.prompt!r}) has no subject", "no subject")
        found = presets.put(model, fact)
        if templates.OBJECT in found.prompt:
            raise CannotBePut(
                f"the model answers questions and fills no gaps: {fact.prompt!r}", "no question"
            )
        if fact.target is not None:
            presets.check(model, found)
    except UserError as error:
        left.add(error)
        return None
    return found


def _known(
    model: LoadedModel,
    facts: Sequence[Fact],
    number: int,
    seed: int,
    progress: Progress,
) -> list[Fact]:
    """Facts that the model answers right, relations in turn; asked until there are enough."""
    order, found = counterfactuals.in_turns(facts, seed), list[Fact]()
    for start in range(0, len(order), _AT_ONCE):
        progress("asking what is known", len(found), number)
        found += _right(model, order[start : start + _AT_ONCE])
        if len(found) >= number:
            break
    return found


def _right(model: LoadedModel, facts: Sequence[Fact]) -> Iterator[Fact]:
    """Facts whose object is, token by token, what the model writes: one pass, no decoding."""
    pairs = [(fact.asked(), fact.object) for fact in facts]
    _, hits = forced.scores(model, model.params, pairs)
    return (fact for fact, hit in zip(facts, hits, strict=True) if hit == 1.0)
