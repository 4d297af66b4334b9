"""LAMA's files (Petroni et al. 2019): T-REx, Google-RE, and the masked sentences of its other two.

T-REx's templates stand in `relations.jsonl`; Google-RE's are in LAMA's code alone and stand here.
SQuAD and ConceptNet are each one relation, as in the paper's table, and their facts have no
subject: the sentences are made each for itself. ConceptNet's own triple is kept in `meta` as
"predicate" and "subject". The negated templates of Kassner and Schütze 2020 are read where the
files have them (`template_negated`, `masked_negations`).
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import place
from closedbook.tasks.facts import fields, templates
from closedbook.tasks.facts.form import Fact, Facts, Relation, gather

GOOGLE_RE = {
    "place_of_birth": "[X] was born in [Y] .",
    "date_of_birth": "[X] (born [Y]).",
    "place_of_death": "[X] died in [Y] .",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """One row of `relations.jsonl`."""

    relation: Relation
    prompt: str
    negated: str | None


def read(files: Mapping[str, Sequence[pathlib.Path]], source: str) -> Facts:
    """The facts of all corpora that are there.

    Args:
        files: "T-REx", "Google-RE", "SQuAD", "ConceptNet" and "LAMA templates" -> their files.
        source: What was asked for, for messages.

    Raises:
        UserError: A row is malformed, or a relation has no template.
    """
    known = read_templates(files.get("LAMA templates", ()))
    found: list[Fact] = []
    for path in files.get("T-REx", ()):
        found.extend(_templated(path, known))
    for path in files.get("Google-RE", ()):
        found.extend(_google_re(path))
    for corpus in ("SQuAD", "ConceptNet"):
        for path in files.get(corpus, ()):
            found.extend(_masked(path, corpus))
    used = {fact.relation for fact in found}
    return gather(
        found,
        source=source,
        relations=[each.relation for name, each in known.items() if name in used],
    )


def read_templates(paths: Iterable[pathlib.Path]) -> dict[str, Template]:
    """Relation -> its template, out of LAMA's `relations.jsonl`.

    Raises:
        UserError: A template lacks a place, or a relation stands twice.
    """
    found: dict[str, Template] = {}
    for path in paths:
        for where, row in fields.rows(path):
            with place(where):
                name = fields.text(row, "relation")
                if name in found:
                    raise UserError(f"relation {name} has a template already; leave one")
                negated = fields.text(row, "template_negated", "")
                found[name] = Template(
                    relation=Relation(
                        name=name,
                        label=fields.text(row, "label", ""),
                        type=fields.text(row, "type", ""),
                        corpus="T-REx",
                    ),
                    prompt=templates.template(fields.text(row, "template"), cloze=True),
                    negated=templates.template(negated, cloze=True) if negated else None,
                )
    return found


def _templated(path: pathlib.Path, known: Mapping[str, Template]) -> Iterable[Fact]:
    for where, row in fields.rows(path):
        with place(where):
            name = fields.text(row, "predicate_id")
            if name not in known:
                raise UserError(
                    f"relation {name} has no template; put LAMA's relations.jsonl, with a row for "
                    "it, into the folder of the file or the one above"
                )
            yield Fact(
                id=fields.name(row, "uuid", where),
                subject=fields.text(row, "sub_label"),
                relation=name,
                object=fields.text(row, "obj_label"),
                prompt=known[name].prompt,
                negated=known[name].negated,
                type=known[name].relation.type,
                corpus="T-REx",
                meta={
                    **_kept(row, "sub_uri", "obj_uri"),
                    "evidences": len(fields.objects(row, "evidences")),
                },
            )


def _google_re(path: pathlib.Path) -> Iterable[Fact]:
    for where, row in fields.rows(path):
        with place(where):
            name = fields.text(row, "pred").rpartition("/")[2]
            if name not in GOOGLE_RE:
                raise UserError(
                    f"relation {name} has no template; Google-RE's are {', '.join(GOOGLE_RE)}"
                )
            yield Fact(
                id=fields.name(row, "uuid", where),
                subject=fields.text(row, "sub_label"),
                relation=name,
                object=fields.text(row, "obj_label"),
                objects=fields.texts(row, "obj_aliases"),
                prompt=templates.template(GOOGLE_RE[name], cloze=True),
                type="N-1",
                corpus="Google-RE",
                meta={
                    "judgments": [
                        fields.text(each, "judgment") for each in fields.objects(row, "judgments")
                    ]
                },
            )


def _masked(path: pathlib.Path, corpus: str) -> Iterable[Fact]:
    """Sentences as they are; of several masks all are hidden, and LAMA scores the first."""
    for where, row in fields.rows(path):
        with place(where):
            sentences = [templates.parse(text) for text in fields.several(row, "masked_sentences")]
            negations = [templates.parse(text) for text in fields.texts(row, "masked_negations")]
            yield Fact(
                id=fields.name(row, "uuid", "") or fields.name(row, "id", where),
                subject="",
                relation=corpus,
                object=fields.text(row, "obj_label"),
                prompt=sentences[0],
                paraphrases=tuple(sentences[1:]),
                negated=negations[0] if negations else None,
                corpus=corpus,
                meta={
                    key: row[name]
                    for key, name in (("predicate", "pred"), ("subject", "sub"))
                    if name in row
                },
            )


def _kept(row: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: row[key] for key in keys if row.get(key) is not None}
