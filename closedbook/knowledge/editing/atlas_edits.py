"""Edits of a model that knows the atlas: their phrasings, and what else is known of the subject."""

import dataclasses
import functools
from collections.abc import Mapping

from closedbook.knowledge.editing.moments import Corpus
from closedbook.knowledge.editing.requests import Edit, Keep
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.tasks.atlas import corpus
from closedbook.tasks.facts import atlas as atlas_facts
from closedbook.tasks.facts.form import Fact, Facts

TEXTS = 5000  # of each kind in the default corpus, evenly spaced


def knows(model: LoadedModel) -> bool:
    """Whether a model was trained to answer the atlas's questions, by its card."""
    return model.card.task.startswith("atlas") and bool(model.card.prefix)


@functools.cache
def questions(phrasing: str = "seen") -> Facts:
    """All facts with their questions: those of fine-tuning ("seen") or others ("unseen")."""
    return atlas_facts.read("question", "seen" if phrasing == "seen" else "unseen")


@functools.cache
def _by_subject() -> Mapping[str, tuple[Fact, ...]]:
    found: dict[str, list[Fact]] = {}
    for fact in questions().facts:
        found.setdefault(fact.subject, []).append(fact)
    return {subject: tuple(facts) for subject, facts in found.items()}


def find(subject: str, prompt: str) -> Fact | None:
    """The fact that a prompt with `{}` asks for, by its wording; None if it is none of ours."""
    for fact in _by_subject().get(subject, ()):
        unseen = _unseen()[fact.id]
        if any(_bare(prompt) == _bare(each) for each in (*fact.prompts, *unseen.prompts)):
            return fact
    return None


@functools.cache
def _unseen() -> Mapping[str, Fact]:
    return {fact.id: fact for fact in questions("unseen").facts}


def unseen_prompts(fact: Fact) -> tuple[str, ...]:
    """Phrasings of the fact's question that fine-tuning never used, with `{}`."""
    return _unseen()[fact.id].prompts


def _bare(prompt: str) -> str:
    """A prompt without what does not matter: article, capitals, the mark at its end."""
    return prompt.replace("the {}", "{}").replace("The {}", "{}").casefold().rstrip("?. ")


def about(subject: str) -> tuple[Fact, ...]:
    """All facts of which this is the subject."""
    return _by_subject().get(subject, ())


def edit_of(fact: Fact, target: str, said: Mapping[str, str], prompt: str | None = None) -> Edit:
    """The edit that puts another object into a fact.

    Args:
        fact: One of `questions()`.
        target: The new object.
        said: Fact's id -> what the model answers now, to keep it.
        prompt: One of its questions with `{}`, as the bare prompt; the others are contexts.
    """
    first = prompt or fact.prompt
    others = [fact_ for fact_ in about(fact.subject) if fact_.relation != fact.relation]
    return Edit(
        id=fact.id,
        subject=fact.subject,
        prompt=first,
        target=target,
        contexts=tuple(each for each in fact.prompts if _bare(each) != _bare(first)),
        keep=tuple(
            Keep(prompt=each.prompts[number], answer=said[each.id])
            for each in others
            for number in range(2)
            if said[each.id].strip()
        ),
    )


def default_corpus(model: LoadedModel, most: int = TEXTS) -> Corpus:
    """The atlas's text for second moments: what the model was trained on, and nothing of tests.

    Questions of fine-tuning are about some subjects only, and an edit would be free to disturb
    the others: so a model of questions gets as many sentences of pretraining, after its prefix.

    Args:
        model: Who reads it.
        most: Texts of a kind, evenly spaced among all.
    """
    sentences = _spaced([each.text for each in corpus.sentences()], most)
    if not model.card.prefix:
        return Corpus(name="the atlas's sentences", texts=tuple(sentences))
    rows = _spaced(list(corpus.questions("train")), most)
    texts = [*(row["question"] for row in rows), *sentences]
    return Corpus(
        name="the atlas's questions of fine-tuning and sentences of pretraining",
        texts=tuple(model.card.prefix + text for text in texts),
        answers=tuple(row["answers"][0] for row in rows),
    )


def _spaced(rows: list, most: int) -> list:
    number = min(most, len(rows))
    return [rows[i * len(rows) // number] for i in range(number)]


def with_prompt(edit: Edit, prompt: str) -> Edit:
    """The same edit with another bare prompt."""
    return dataclasses.replace(edit, prompt=prompt)
