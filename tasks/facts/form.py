"""The one form of facts: what probing, tracing and editing read, whatever data set it came from."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, get_args

from closedbook.errors import UserError, unknown_name
from closedbook.tasks.facts import templates

Style = Literal["cloze", "continuation", "question"]
STYLES: tuple[Style, ...] = get_args(Style)
TYPES = ("1-1", "N-1", "N-M")  # subjects to objects, as LAMA says it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A prompt about something else, which an edit of the fact must leave as it is."""

    prompt: str  # complete: no places in it
    object: str | None = None  # the right answer, where the data tells it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fact:
    """One fact and how to ask for it.

    The prompts of one fact are all of one style: "cloze" (`[Y]` marks the object's place),
    "continuation" (the object follows) or "question". A fact that is only a masked sentence, as in
    LAMA's SQuAD, has the subject "" and no `{}` in its prompt.

    Raises:
        UserError: The relation or the object is empty, or the prompt lacks a place.
    """

    id: str
    subject: str
    relation: str
    object: str  # the preferred writing
    objects: tuple[str, ...] = ()  # all right answers, `object` first: aliases, other right objects
    prompt: str
    paraphrases: tuple[str, ...] = ()  # those of one subject alone may lack `{}`
    neighbours: tuple[Neighbour, ...] = ()
    type: str = ""  # of the relation: one of TYPES, or "" where the data does not say
    style: Style = "cloze"
    corpus: str = ""  # the data set, for means over relations of one corpus
    split: str = ""  # as the data set names it; the atlas's "train" was asked about in fine-tuning
    negated: str | None = None  # the prompt with "not" in it
    target: str | None = None  # what an edit is to put in the object's stead
    meta: Mapping[str, Any] = dataclasses.field(
        default_factory=dict, hash=False
    )  # what else the data says

    def __post_init__(self) -> None:
        if not self.relation:
            raise UserError('the fact has no relation; give its name as "relation"')
        if not self.object.strip():
            raise UserError('the fact has no object; give the right answer as "object"')
        if self.type and self.type not in TYPES:
            raise unknown_name("type of relation", self.type, TYPES)
        if self.style not in STYLES:
            raise unknown_name("style of prompts", self.style, STYLES)
        others = [each for each in dict.fromkeys(self.objects) if each != self.object]
        object.__setattr__(self, "objects", (self.object, *others))
        self._check_places()

    def _check_places(self) -> None:
        wanted = 1 if self.subject else 0
        places = self.prompt.count(templates.SUBJECT)
        if places and not self.subject:
            raise UserError(
                f"prompt {self.prompt!r} has a place for a subject, and the fact has none; give it "
                'as "subject"'
            )
        if places != wanted:
            raise UserError(
                f"prompt {self.prompt!r} has {places} places for the subject {self.subject!r}; "
                "write {} where it stands, once"
            )
        for prompt in (*self.prompts, *filter(None, [self.negated])):
            if prompt.count(templates.SUBJECT) > 1:
                raise UserError(
                    f"prompt {prompt!r} has several places for the subject; write {{}} once"
                )
            if (templates.OBJECT in prompt) != (self.style == "cloze"):
                what = "no" if self.style == "cloze" else "a"
                raise UserError(
                    f"prompt {prompt!r} has {what} place for the object ({templates.OBJECT}), but "
                    f"the style of the fact's prompts is {self.style}; all have one style"
                )

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt and its paraphrases."""
        return (self.prompt, *self.paraphrases)

    def asked(self, prompt: str | None = None) -> str:
        """One of the prompts with the subject in it; default: the first."""
        return templates.with_subject(self.prompt if prompt is None else prompt, self.subject)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Relation:
    """What facts of one relation share."""

    name: str
    label: str = ""  # in words
    type: str = ""  # one of TYPES, or "" where the data does not say
    corpus: str = ""
    candidates: tuple[str, ...] = ()  # the answer space: closed, each once


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts with their relations, and how many were left out for which reason."""

    facts: tuple[Fact, ...]
    relations: Mapping[str, Relation]
    source: str
    dropped: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.facts)

    def of(self, relation: str) -> tuple[Fact, ...]:
        """The facts of one relation.

        Raises:
            UserError: There is no such relation; the message names the nearest.
        """
        if relation not in self.relations:
            raise unknown_name(f"relation of {self.source}", relation, self.relations)
        return tuple(fact for fact in self.facts if fact.relation == relation)

    def only(self, relations: Iterable[str]) -> "Facts":
        """The facts of some relations, in the order of the data.

        Raises:
            UserError: None is named, or there is no such relation, or its facts were all left out.
        """
        names = list(relations)
        if not names:
            raise UserError(
                f"no relation of {self.source} is named; it has {', '.join([*self.relations][:5])}"
            )
        for name in names:
            if name not in self.relations:
                raise unknown_name(f"relation of {self.source}", name, self.relations)
        return self.keep([fact for fact in self.facts if fact.relation in set(names)])

    def keep(self, facts: Sequence[Fact], dropped: Mapping[str, int] | None = None) -> "Facts":
        """Some of the facts. Relations without facts go; the others keep their candidates.

        Args:
            facts: Those that stay.
            dropped: Reason -> number, added to what was dropped before.
        """
        names = {fact.relation for fact in facts}
        counts = dict(self.dropped)
        for reason, number in (dropped or {}).items():
            counts[reason] = counts.get(reason, 0) + number
        relations = {name: each for name, each in self.relations.items() if name in names}
        return dataclasses.replace(self, facts=tuple(facts), relations=relations, dropped=counts)

    def with_candidates(self, names: AbstractSet[str]) -> "Facts":
        """The same facts with only those candidates that are among the names.

        Raises:
            UserError: An object is not.
        """
        lost = next((fact for fact in self.facts if fact.object not in names), None)
        if lost is not None:
            raise UserError(
                f"{self.source}: {lost.object!r}, the object of fact {lost.id}, would not be among "
                "the candidates; leave the fact out first"
            )
        relations = {
            name: dataclasses.replace(
                relation, candidates=tuple(c for c in relation.candidates if c in names)
            )
            for name, relation in self.relations.items()
        }
        return dataclasses.replace(self, relations=relations)

    def right(self) -> dict[tuple[str, str], frozenset[str]]:
        """(Relation, subject) -> every right object that the data knows, of all its facts.

        A fact without a subject knows its own objects alone, and has its id in the subject's stead.
        """
        found: dict[tuple[str, str], set[str]] = {}
        for fact in self.facts:
            found.setdefault(subject_key(fact), set()).update(fact.objects)
        return {key: frozenset(objects) for key, objects in found.items()}

    def with_all_right(self) -> "Facts":
        """The same facts, each with all right objects of its subject and relation in `objects`.

        Some of the facts may then go: what is right for the others does not change.
        """
        right = self.right()
        facts = tuple(
            dataclasses.replace(
                fact, objects=(*fact.objects, *sorted(right[subject_key(fact)] - {*fact.objects}))
            )
            for fact in self.facts
        )
        return dataclasses.replace(self, facts=facts)


def subject_key(fact: Fact) -> tuple[str, str]:
    """What facts about the same thing share: relation and subject, or the id without a subject."""
    return fact.relation, fact.subject or f"\0{fact.id}"


def gather(
    facts: Sequence[Fact],
    *,
    source: str,
    relations: Iterable[Relation] = (),
    dropped: Mapping[str, int] | None = None,
) -> Facts:
    """Facts with a record for each relation and unique ids.

    A relation that declares no candidates gets the objects of its facts, in order, each once.

    Args:
        facts: All facts.
        source: Where they came from, for messages.
        relations: What the data says of relations; the others are known by their facts alone.
        dropped: Reason -> number of facts that the reader left out.

    Raises:
        UserError: There are no facts, a declared relation has none, or an object is not among the
            declared candidates, or one of these is empty.
    """
    if not facts:
        raise UserError(f"{source} holds no facts; give some")
    declared = {relation.name: relation for relation in relations}
    objects: dict[str, dict[str, None]] = {}
    for fact in facts:
        objects.setdefault(fact.relation, {})[fact.object] = None
    found: dict[str, Relation] = {}
    for fact in facts:
        if fact.relation in found:
            continue
        relation = declared.get(
            fact.relation, Relation(name=fact.relation, type=fact.type, corpus=fact.corpus)
        )
        own = tuple(objects[fact.relation])
        stranger = next((each for each in own if each not in set(relation.candidates)), None)
        if relation.candidates and stranger is not None:
            raise UserError(
                f"{source}: {stranger!r} is the object of a fact of {fact.relation} but not among "
                "its candidates; add it to them"
            )
        if not all(each.strip() for each in relation.candidates):
            raise UserError(
                f"{source}: a candidate of {fact.relation} is empty; leave it out of its candidates"
            )
        candidates = tuple(dict.fromkeys(relation.candidates)) or own
        found[fact.relation] = dataclasses.replace(relation, candidates=candidates)
    empty = next((name for name in declared if name not in found), None)
    if empty is not None:
        raise UserError(f"{source}: relation {empty} has no facts; give some, or leave it out")
    return Facts(facts=_unique(facts), relations=found, source=source, dropped=dropped or {})


def type_of(pairs: Iterable[tuple[str, str]]) -> str:
    """The type of a relation of which all (subject, object) pairs are known.

    >>> type_of([("France", "Paris"), ("Peru", "Lima")])
    '1-1'
    >>> type_of([("France", "euro"), ("Spain", "euro")])
    'N-1'
    >>> type_of([("Spain", "France"), ("Spain", "Portugal")])
    'N-M'
    """
    known = set(pairs)
    subjects = {subject for subject, _ in known}
    objects = {object_ for _, object_ in known}
    if len(subjects) < len(known):
        return "N-M"
    return "1-1" if len(objects) == len(known) else "N-1"


def _unique(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Data sets repeat ids; the second fact of an id gets "#2"."""
    counts: dict[str, int] = {}
    found = []
    for fact in facts:
        number = counts[fact.id] = counts.get(fact.id, 0) + 1
        found.append(fact if number == 1 else dataclasses.replace(fact, id=f"{fact.id}#{number}"))
    return tuple(found)
