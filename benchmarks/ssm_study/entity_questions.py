"""Facts of EntityQuestions (Sciavolino et al. 2021, MIT) as sentences and as questions.

The training file of a relation asks one question a fact, in one wording, so the subject can be
read back from the question. From the triples come sentences of our own words with two salient
spans each, and the questions: a fixed 60% of the facts of most relations for fine-tuning, the
rest for the test; some relations are never asked in fine-tuning.
"""

import collections
import dataclasses
import hashlib
import json
import pathlib
import tarfile
import tomllib
from collections.abc import Iterator
from typing import Any

from closedbook.errors import UserError
from closedbook.tasks.spans.sentences import Sentence, Span

_RELATIONS = pathlib.Path(__file__).parent / "relations.toml"
_LONGEST_NAME = 40  # characters
_FEWEST, _MOST = 4, 8  # facts with one object: fewer and it is a rarity, more and it is a guess


@dataclasses.dataclass(frozen=True, kw_only=True)
class Relation:
    """One relation: how it is asked and said."""

    id: str
    name: str
    question: str
    labels: tuple[str, str]
    sentences: tuple[str, ...]
    asked: bool = True  # in fine-tuning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Triple:
    """One fact."""

    relation: Relation
    subject: str
    object: str

    @property
    def key(self) -> str:
        """Its name in files."""
        return f"{self.relation.id}:{self.subject}"

    @property
    def split(self) -> str:
        """One of "train", "test" (its relation is asked about other facts) or "never_asked"."""
        if not self.relation.asked:
            return "never_asked"
        return "train" if _draw(self.key) % 10 < 6 else "test"


def relations() -> list[Relation]:
    """The relations of the study."""
    table = tomllib.loads(_RELATIONS.read_text("utf-8"))
    return [
        Relation(
            id=key,
            name=row["name"],
            question=row["question"],
            labels=(row["labels"][0], row["labels"][1]),
            sentences=tuple(row["sentences"]),
            asked=row.get("asked", True),
        )
        for key, row in table.items()
    ]


def triples(source: pathlib.Path, facts_per_relation: int) -> list[Triple]:
    """A fixed choice of facts, the same number of every relation.

    Args:
        source: A folder with `P17.train.json` and the others somewhere below it, or a tar of one.
        facts_per_relation: How many; few objects answer more than eight questions of a relation,
            so that always giving the commonest answer is worth little.

    Raises:
        UserError: A relation's file is missing, or has too few facts.
    """
    found: list[Triple] = []
    wanted = relations()
    content = _contents(source, {f"{relation.id}.train.json" for relation in wanted})
    for relation in wanted:
        rows = content.get(f"{relation.id}.train.json")
        if rows is None:
            raise UserError(
                f"{source} has no {relation.id}.train.json; give the folder of EntityQuestions "
                "(github.com/princeton-nlp/EntityQuestions) or a tar archive of it"
            )
        chosen = _chosen(relation, rows, facts_per_relation)
        if len(chosen) < facts_per_relation:
            raise UserError(
                f"{relation.id} has only {len(chosen)} facts of the kind that the study uses, "
                f"not {facts_per_relation}"
            )
        found.extend(chosen)
    return found


def sentences(facts: list[Triple]) -> Iterator[Sentence]:
    """Every fact in every sentence of its relation, subject and object as spans."""
    for fact in facts:
        for template in fact.relation.sentences:
            text, spans = "", []
            for part in template.replace("{", "\0{").replace("}", "}\0").split("\0"):
                if part in ("{s}", "{o}"):
                    which = "so".index(part[1])
                    name = (fact.subject, fact.object)[which]
                    start = len(text.encode())
                    label = fact.relation.labels[which]
                    spans.append(Span(start, start + len(name.encode()), label))
                    part = name
                text += part
            yield Sentence(text, tuple(spans), fact.subject)


def questions(facts: list[Triple], split: str) -> Iterator[dict[str, Any]]:
    """Rows `{"id", "question", "answers"}` about the facts of a split."""
    for fact in facts:
        if fact.split == split:
            question = fact.relation.question.replace("{s}", fact.subject)
            yield {"id": fact.key, "question": question, "answers": [fact.object]}


def _chosen(relation: Relation, rows: list[dict[str, Any]], count: int) -> list[Triple]:
    before, after = relation.question.split("{s}")
    pairs: dict[str, str] = {}
    for row in rows:
        question, answers = row["question"], row["answers"]
        if len(answers) != 1 or not (question.startswith(before) and question.endswith(after)):
            continue
        subject = question[len(before) : len(question) - len(after)]
        if max(len(subject), len(answers[0])) > _LONGEST_NAME or subject in answers[0]:
            continue
        if not (subject + answers[0]).replace(" ", "").isprintable():
            continue
        pairs[subject] = answers[0]
    sizes = collections.Counter(pairs.values())
    taken: collections.Counter[str] = collections.Counter()
    chosen = []
    for subject in sorted(pairs, key=lambda subject: _draw(f"{relation.id}/{subject}")):
        answer = pairs[subject]
        if sizes[answer] >= _FEWEST and taken[answer] < _MOST and len(chosen) < count:
            taken[answer] += 1
            chosen.append(Triple(relation=relation, subject=subject, object=answer))
    return chosen


def _draw(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def _contents(source: pathlib.Path, names: set[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    if source.is_dir():
        for path in sorted(source.rglob("P*.train.json")):
            if path.name in names:
                found[path.name] = json.loads(path.read_text("utf-8"))
        return found
    with tarfile.open(source) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name in names and (file := archive.extractfile(member)):
                found[name] = json.load(file)
    return found
