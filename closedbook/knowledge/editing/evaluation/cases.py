"""What is asked about one edit: whether it holds, what must stay, what should follow from it."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from closedbook.knowledge.editing import answering, atlas_edits
from closedbook.knowledge.editing.requests import Edit
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact

# Groups of questions, in the order of tables. Told ones are right with the target.
TOLD = ("prompt", "phrasings in the edit", "rephrasings")
KEPT = ("same subject", "same relation", "all others", "neighbours")
RIPPLE = ("inverse of the new object", "two hops from the target")
DENIED = ("inverse of the old object", "negated prompt")  # share that should fall, or stay low
GROUPS = (*TOLD, *KEPT, *RIPPLE, *DENIED)

# A relation and the one that leads back; the atlas has both directions.
_INVERSES = {
    "country_capital": "capital_country",
    "country_currency": "currency_country",
    "country_demonym": "demonym_country",
    "state_capital": "capital_state",
    "state_abbreviation": "abbreviation_state",
    "element_symbol": "symbol_element",
    "element_number": "number_element",
}
_BACK = _INVERSES | {back: there for there, back in _INVERSES.items()}
# What an object can be called by its subject, so that a question about it takes two hops.
_CALLED = {
    "capital_country": "the country whose capital is {}",
    "capital_state": "the state whose capital is {}",
    "demonym_country": "the country whose people are called {}",
    "currency_country": "the country whose currency is the {}",
    "symbol_element": "the element with the symbol {}",
    "number_element": "the element with the number {}",
    "abbreviation_state": "the state that is abbreviated {}",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """One question about an edit.

    Attributes:
        group: One of `GROUPS`.
        text: Without the model's prefix.
        right: What counts as a hit.
    """

    group: str
    text: str
    right: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One edit and all questions about it.

    Attributes:
        edit: What is asked of the model.
        true: What the data says is true, or None where it does not differ from the target.
        questions: Of all groups.
    """

    edit: Edit
    true: str | None
    questions: tuple[Question, ...]


def of_atlas(
    fact: Fact,
    target: str,
    said: Mapping[str, str],
    others: Sequence[Fact],
) -> Case:
    """The case of a counterfactual edit of the atlas.

    Args:
        fact: What is edited; its object is replaced.
        target: The new object, of the same relation.
        said: Fact's id -> what the model says before.
        others: Facts about other subjects that are asked too.
    """
    edit = atlas_edits.edit_of(fact, target, said)
    found = [Question(group="prompt", text=fact.asked(), right=(target,))]
    found += [_told("phrasings in the edit", fact, each, target) for each in edit.contexts]
    found += [_told("rephrasings", fact, each, target) for each in atlas_edits.unseen_prompts(fact)]
    for other in (*atlas_edits.about(fact.subject), *others):
        if other.id == fact.id or not answering.right(said[other.id], other.objects):
            continue
        group = KEPT[0] if other.subject == fact.subject else KEPT[2]
        group = KEPT[1] if group == KEPT[2] and other.relation == fact.relation else group
        found.append(Question(group=group, text=other.asked(), right=other.objects))
    found += _ripples(fact, target, said)
    return Case(edit=edit, true=fact.object, questions=tuple(found))


def of_data(fact: Fact, edit: Edit) -> Case:
    """The case of an edit out of a data set: its rephrasings and its neighbours."""
    target = (edit.target,)
    found = [Question(group="prompt", text=fact.asked(), right=target)]
    found += [
        Question(group="rephrasings", text=fact.asked(each), right=target)
        for each in fact.paraphrases
    ]
    found += [
        Question(group="neighbours", text=each.prompt, right=(each.object,))
        for each in fact.neighbours
        if each.object is not None
    ]
    if fact.negated is not None:
        found.append(Question(group="negated prompt", text=fact.asked(fact.negated), right=target))
    true = fact.object if fact.object != edit.target else None
    return Case(edit=edit, true=true, questions=tuple(found))


def sample(facts: Sequence[Fact], number: int | None) -> list[Fact]:
    """Facts drawn by a hash of their ids, always the same; all of them if `number` is None."""
    if number is None or number >= len(facts):
        return list(facts)
    drawn = sorted(facts, key=lambda fact: hashlib.sha256(fact.id.encode()).digest())[:number]
    return sorted(drawn, key=lambda fact: fact.id)


def _told(group: str, fact: Fact, prompt: str, target: str) -> Question:
    text = templates.with_subject(prompt, fact.subject)
    return Question(group=group, text=text, right=(target,))


@functools.cache
def _facts() -> Mapping[tuple[str, str], Fact]:
    return {(fact.relation, fact.subject): fact for fact in atlas_edits.questions().facts}


def _ripples(fact: Fact, target: str, said: Mapping[str, str]) -> Iterator[Question]:
    back = _BACK.get(fact.relation)
    if back is not None:
        for group, object_ in ((RIPPLE[0], target), (DENIED[0], fact.object)):
            inverse = _facts().get((back, object_))
            if inverse is not None:
                yield Question(group=group, text=inverse.asked(), right=(fact.subject,))
    called = _CALLED.get(fact.relation)
    if called is not None:
        name = templates.with_subject(called, fact.subject)
        for next_ in atlas_edits.about(target):
            # The second hop must be known, or two hops could not be right.
            if next_.relation != back and answering.right(said[next_.id], next_.objects):
                text = templates.with_subject(next_.prompt, name)
                yield Question(group=RIPPLE[1], text=text, right=next_.objects)
    negated = negation(fact.prompt)
    if negated is not None:
        text = templates.with_subject(negated, fact.subject)
        yield Question(group=DENIED[1], text=text, right=(target,))


def negation(prompt: str) -> str | None:
    """The prompt with a plain "not" in it; None where there is no verb to put it after.

    >>> negation("What is the capital of {}?"), negation("Name the capital of {}.")
    ('What is not the capital of {}?', None)
    """
    for verb in (" is ", " are ", " was ", " does ", " did "):
        before, found, after = prompt.partition(verb)
        if found:
            return f"{before}{verb}not {after}"
    return None
