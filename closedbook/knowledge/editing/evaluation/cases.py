"""What is asked about one edit: whether it holds, what must stay, what should follow from it."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from closedbook.errors import UserError
from closedbook.knowledge.editing import answering, atlas_edits
from closedbook.knowledge.editing.requests import Edit
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact
from closedbook.tasks.facts.negation import negated

# Groups of questions, in the order of tables. Told ones are right with the target.
TOLD = ("prompt", "phrasings in the edit", "rephrasings")
KEPT = ("same subject", "same relation", "all others", "neighbours")
RIPPLE = ("inverse of the new object", "two hops from the target")
DENIED = ("inverse of the old object", "negated prompt")  # share that should fall, or stay low
# Asked by likelihood: shares that should rise, fall, and rise.
YES_NO = ("yes to the target", "yes to the true object", "target over the true object")
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
        begins: Whether an answer need only begin with it (`answering.goes_on`).
    """

    group: str
    text: str
    right: tuple[str, ...]
    begins: bool = False

    def hit(self, answer: str) -> bool:
        """Whether an answer is right."""
        return answering.right(answer, self.right, begins=self.begins)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claims:
    """Questions that are answered by yes or no, for a model that goes on with its prompt.

    Attributes:
        target: Whether the fact's object is the target: yes, after the edit.
        true: Whether it is what the data says is true; None where that is the target.
    """

    target: str
    true: str | None

    @property
    def texts(self) -> tuple[str, ...]:
        """Those that there are."""
        return (self.target,) if self.true is None else (self.target, self.true)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One edit and all questions about it.

    Attributes:
        edit: What is asked of the model.
        true: What the data says is true, or None where it does not differ from the target.
        questions: Of all groups.
        claims: Asked by likelihood; None for an encoder-decoder, which answers with names.
        generation_prompts: Where the model is let write, for GE and RS; empty without.
        references: What it should then write like; empty without.
    """

    edit: Edit
    true: str | None
    questions: tuple[Question, ...]
    claims: Claims | None = None
    generation_prompts: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


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
        others: Facts that are asked too; those about the subject are asked in any case, once.
    """
    edit = atlas_edits.edit_of(fact, target, said)
    found = [Question(group="prompt", text=fact.asked(), right=(target,))]
    found += [_told("phrasings in the edit", fact, each, target) for each in edit.contexts]
    found += [_told("rephrasings", fact, each, target) for each in atlas_edits.unseen_prompts(fact)]
    own = atlas_edits.about(fact.subject)
    for other in (*own, *(each for each in others if each.subject != fact.subject)):
        if other.id == fact.id or not answering.right(said[other.id], other.objects):
            continue
        group = KEPT[0] if other.subject == fact.subject else KEPT[2]
        group = KEPT[1] if group == KEPT[2] and other.relation == fact.relation else group
        found.append(Question(group=group, text=other.asked(), right=other.objects))
    found += _ripples(fact, target, said)
    return Case(edit=edit, true=fact.object, questions=tuple(found))


def of_data(model: LoadedModel, fact: Fact, edit: Edit, others: Sequence[Fact] = ()) -> Case:
    """The case of an edit out of a data set: its rephrasings, its neighbours, its denial.

    Rephrasings that the edit has used, as contexts, are no test of it and are left out.

    Args:
        model: Who is asked.
        fact: As `presets.put` gives it.
        edit: Of this fact.
        others: Facts about other subjects that the model knows, as `presets.put` gives them.
    """

    def asked(group: str, text: str, right: tuple[str, ...]) -> Question:
        begins = answering.goes_on(model, text)
        return Question(group=group, text=text, right=right, begins=begins)

    target = (edit.target,)
    found = [asked("prompt", fact.asked(), target)]
    used = {templates.with_subject(each, edit.subject) for each in edit.contexts}
    rephrased = [fact.asked(each) for each in fact.paraphrases]
    found += [asked("rephrasings", text, target) for text in rephrased if text not in used]
    found += [
        asked("neighbours", each.prompt, (each.object,))
        for each in fact.neighbours
        if each.object is not None
    ]
    for other in others:
        group = KEPT[1] if other.relation == fact.relation else KEPT[2]
        found.append(asked(group, other.asked(), other.objects))
    denied = _denied(fact)
    if denied is not None:
        found.append(asked("negated prompt", fact.asked(denied), target))
    true = fact.object if fact.object != edit.target else None
    continues = model.config.continues_prompt
    return Case(
        edit=edit,
        true=true,
        questions=tuple(found),
        claims=_claims(fact, edit.target, true) if continues else None,
        generation_prompts=_texts(fact, "generation_prompts") if continues else (),
        references=_texts(fact, "reference_texts") if continues else (),
    )


def _denied(fact: Fact) -> str | None:
    """The fact's prompt with "not" in it: the data's, or one made by rule."""
    if fact.negated is not None:
        return fact.negated
    question = answering.unframed(fact.prompt)
    if question != fact.prompt:
        denied = negation(question)
        return None if denied is None else answering.framed(denied)
    return negation(fact.prompt) if fact.style == "question" else negated(fact.prompt)


def _claims(fact: Fact, target: str, true: str | None) -> Claims:
    question = answering.unframed(fact.prompt)

    def claim(object_: str) -> str:
        if question != fact.prompt:
            asked = templates.with_subject(question, fact.subject)
            said = f'the answer to "{asked}" is {object_}'
        else:
            said = templates.statement(fact.prompt, fact.subject, object_)
            said = f"the{said[3:]}" if said.startswith("The ") else said
        return answering.framed(f"Is it true that {said}?")

    return Claims(target=claim(target), true=None if true is None else claim(true))


def _texts(fact: Fact, key: str) -> tuple[str, ...]:
    """Texts that the data has beside its facts.

    Raises:
        UserError: They are no list of texts.
    """
    found = fact.meta.get(key) or ()
    if isinstance(found, str) or not all(isinstance(each, str) for each in found):
        raise UserError(f'fact {fact.id}: "{key}" is {found!r}; give a list of texts')
    return tuple(found)


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
    denied = negation(fact.prompt)
    if denied is not None:
        text = templates.with_subject(denied, fact.subject)
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
