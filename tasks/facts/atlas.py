"""The packaged atlas as facts to probe: in sentences for `atlas_ssm`, in questions for `atlas_qa`.

All facts of a relation are known, so that its candidates are a closed, typed set: the objects of
all its facts. `split` is that of the atlas: fine-tuning asked about "train", and never about
"validation" and "test"; the sentences of all three were pretrained on.

Names that take an article ("the Netherlands") have it in a prompt where they are the subject. Where
they are the object the prompt has none, because it would tell the answer.
"""

from typing import Literal

from closedbook.errors import UserError
from closedbook.tasks.atlas import corpus, phrasings
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact, Facts, Relation, Style, gather, type_of

NAME = "atlas"


def read(style: Style = "cloze", phrasing: Literal["seen", "unseen"] = "seen") -> Facts:
    """All facts of the atlas in one style.

    Args:
        style: "cloze" for its sentences, "question" for its questions. Of the sentences those
            that end with the object come first, so that a model that reads from left to right
            can be asked by the prompt too.
        phrasing: Questions that fine-tuning used, or others; sentences know no such difference.

    Raises:
        UserError: The atlas does not have the style.
    """
    if style == "continuation":
        raise UserError(
            'the atlas has the styles cloze and question; choose one ("cloze" for models that read '
            "from left to right: their prompts end where the object begins)"
        )
    facts = corpus.facts()
    pairs: dict[str, list[tuple[str, str]]] = {}
    for fact in facts:
        pairs.setdefault(fact.relation, []).append((fact.subject, fact.object))
    types = {name: type_of(each) for name, each in pairs.items()}
    texts = {name: _texts(phrasings.phrasings()[name], style, phrasing) for name in pairs}
    found = [
        Fact(
            id=fact.id,
            subject=fact.subject,
            relation=fact.relation,
            object=fact.object,
            objects=fact.aliases,
            prompt=_with_article(texts[fact.relation][0], fact.subject),
            paraphrases=tuple(_with_article(t, fact.subject) for t in texts[fact.relation][1:]),
            type=types[fact.relation],
            style=style,
            corpus=NAME,
            split=fact.split,
            meta={"sources": list(fact.sources)},
        )
        for fact in facts
    ]
    relations = [
        Relation(name=name, label=name.replace("_", " "), type=types[name], corpus=NAME)
        for name in pairs
    ]
    return gather(found, source=NAME, relations=relations)


def _texts(
    relation: phrasings.Phrasing, style: Style, phrasing: Literal["seen", "unseen"]
) -> list[str]:
    if style == "question":
        return list(getattr(relation, phrasing))
    return sorted(relation.sentences, key=lambda text: not text.rstrip(".").endswith("{o}"))


def _with_article(template: str, subject: str) -> str:
    """The template in our marks, with the article that the atlas gives the subject."""
    text, places = phrasings.render(template, subject, templates.OBJECT)
    start, limit = places["s"]
    return text[:start] + templates.SUBJECT + text[limit:]
