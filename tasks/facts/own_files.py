"""The project's own form of facts as JSON lines, which a user's file may be.

A row with a subject is a fact:
`{"id", "subject", "relation", "object", "objects": [...], "prompt": "... {} ...",
"paraphrases": [...], "neighbours": [...], "type"}`, and where they are not the default "style",
"corpus", "split", "negated", "target" and "meta". Required are subject, relation and object (or
objects) and a prompt, unless the relation has templates. A prompt may hold the subject's name
itself; its place is then marked. A neighbour is a prompt or `{"prompt", "object"}`. Fields of other
names are kept in `meta`.

A row without a subject describes a relation: `{"relation", "label", "type", "corpus",
"candidates": [...], "templates": [...]}`, all but the name optional.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from closedbook.errors import UserError, unknown_name
from closedbook.eval.files.json_lines import place, shown
from closedbook.tasks.facts import fields, templates
from closedbook.tasks.facts.fields import Row
from closedbook.tasks.facts.form import STYLES, Fact, Facts, Neighbour, Relation, Style, gather

FIELDS = (
    *("id", "subject", "relation", "object", "objects", "prompt", "paraphrases", "neighbours"),
    *("type", "style", "corpus", "split", "negated", "target", "meta"),
)
OF_RELATIONS = ("relation", "label", "type", "corpus", "candidates", "templates")
_OF_FACTS = ("object", "objects", "prompt")  # no relation has them
_MADE_FOR_ALL = "templates"


def read(files: Mapping[str, Sequence[pathlib.Path]], source: str) -> Facts:
    """The facts of all files.

    Args:
        files: "facts" -> the files.
        source: What was asked for, for messages.

    Raises:
        UserError: A row is malformed, an id stands twice, a relation has no facts, or a fact has
            no prompt and its relation no templates.
    """
    relations: dict[str, tuple[Relation, tuple[str, ...]]] = {}
    rows: list[tuple[str, Row]] = []
    for path in files["facts"]:
        for where, row in fields.rows(path):
            if "subject" in row:
                rows.append((where, row))
                continue
            with place(where):
                relation, prompts = _relation(row)
                if relation.name in relations:
                    raise UserError(f"relation {relation.name} was described before; leave one row")
                relations[relation.name] = relation, prompts
    found: list[Fact] = []
    places: dict[str, str] = {}
    for where, row in rows:
        with place(where):
            fact = _fact(row, where, relations)
            if fact.id in places:
                raise UserError(
                    f"id {fact.id!r} stands already at {places[fact.id]}; give every fact its own, "
                    "or leave ids out"
                )
            places[fact.id] = where
            found.append(fact)
    return gather(found, source=source, relations=[relation for relation, _ in relations.values()])


def write(facts: Facts, file: TextIO) -> None:
    """Writes facts, after their relations, so that `read` gives the same again."""
    for row in rows_of(facts):
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def rows_of(facts: Facts) -> Iterator[Row]:
    """The rows that `write` writes."""
    for relation in facts.relations.values():
        row = {key: getattr(relation, key) for key in ("label", "type", "corpus")}
        yield {
            "relation": relation.name,
            **{key: value for key, value in row.items() if value},
            "candidates": list(relation.candidates),
        }
    for fact in facts.facts:
        yield row_of(fact)


def row_of(fact: Fact) -> Row:
    """A fact as its JSON object."""
    row: Row = {
        "id": fact.id,
        "subject": fact.subject,
        "relation": fact.relation,
        "object": fact.object,
        "objects": list(fact.objects),
        "prompt": fact.prompt,
        "paraphrases": list(fact.paraphrases),
        "neighbours": [_neighbour_row(each) for each in fact.neighbours],
        "type": fact.type,
    }
    if fact.style != _style(fact.prompt) or fact.style == "continuation":
        row["style"] = fact.style
    for key in ("corpus", "split", "negated", "target", "meta"):
        if value := getattr(fact, key):
            row[key] = value
    return row


def _relation(row: Row) -> tuple[Relation, tuple[str, ...]]:
    name = fields.text(row, "relation")
    if of_facts := [key for key in _OF_FACTS if key in row]:
        raise UserError(
            f'the row has "{of_facts[0]}" and no "subject"; give its name, or "" where the prompt '
            "is about none (a row without one describes a relation)"
        )
    prompts = fields.texts(row, _MADE_FOR_ALL)
    for text in prompts:
        templates.template(text, cloze=False)
    relation = Relation(
        name=name,
        label=fields.text(row, "label", ""),
        type=fields.text(row, "type", ""),
        corpus=fields.text(row, "corpus", ""),
        candidates=fields.texts(row, "candidates"),
    )
    return relation, tuple(templates.parse(text) for text in prompts)


def _fact(row: Row, where: str, relations: Mapping[str, tuple[Relation, tuple[str, ...]]]) -> Fact:
    name = fields.text(row, "relation")
    relation, made = relations.get(name, (Relation(name=name), ()))
    subject = fields.text(row, "subject", "")
    given = [*filter(None, [fields.text(row, "prompt", "")]), *fields.texts(row, "paraphrases")]
    prompts = [*(_marked(text, subject) for text in given), *made]
    if not prompts:
        raise UserError(
            f'relation {name} has no template and the fact no "prompt", or an empty one; give '
            "either, such as "
            '"The capital of {} is [Y]."'
        )
    objects = fields.texts(row, "objects")
    negated = fields.text(row, "negated", "")
    return Fact(
        id=fields.name(row, "id", f"{name}:{where.rpartition(':')[2]}"),
        subject=subject,
        relation=name,
        object=_object(row, objects[0] if objects else ""),
        objects=objects,
        prompt=prompts[0],
        paraphrases=tuple(prompts[1:]),
        neighbours=_neighbours(row),
        type=fields.text(row, "type", relation.type),
        style=_given_style(row, prompts),
        corpus=fields.text(row, "corpus", relation.corpus),
        split=fields.text(row, "split", ""),
        negated=_marked(negated, subject) if negated else None,
        target=fields.text(row, "target", "") or None,
        meta={**_meta(row), **{key: row[key] for key in row if key not in FIELDS}},
    )


def _object(row: Row, default: str) -> str:
    value = row.get("object")
    if isinstance(value, list):
        raise UserError(
            f'"object" is {shown(value)}; it is one name: give the one to write as "object", and '
            'all that are right as "objects"'
        )
    return fields.text(row, "object", default)


def _marked(text: str, subject: str) -> str:
    prompt = templates.parse(text)
    if templates.SUBJECT in prompt:
        return prompt
    return templates.slotted(prompt, subject) or prompt


def _meta(row: Row) -> dict[str, Any]:
    value = row.get("meta") or {}
    if not isinstance(value, dict):
        raise UserError(f'"meta" is {shown(value)}; it must be an object')
    return value


def _style(prompt: str) -> Style:
    if templates.OBJECT in prompt:
        return "cloze"
    return "question" if prompt.endswith("?") else "continuation"


def _given_style(row: Row, prompts: Sequence[str]) -> Style:
    told = _style(prompts[0])
    value = fields.text(row, "style", "") or told
    ended = [each for each in prompts if _style(each) == "continuation" and each.endswith(".")]
    if ended and told != "question" and not row.get("style"):
        raise UserError(
            f"prompt {ended[0]!r} ends as a sentence and has no place for the object; write [Y] "
            'where the object stands, or give "style": "continuation" if it follows'
        )
    for style in STYLES:
        if value == style:
            return style
    raise unknown_name("style of prompts", value, STYLES)


def _neighbours(row: Row) -> tuple[Neighbour, ...]:
    values = row.get("neighbours") or []
    if not isinstance(values, list):
        raise UserError(f'"neighbours" is {shown(values)}; it must be a list')
    return tuple(_neighbour(each) for each in values)


def _neighbour(value: Any) -> Neighbour:
    if isinstance(value, str) and value.strip():
        return Neighbour(prompt=value.strip())
    if not isinstance(value, dict):
        raise UserError(f'neighbour {shown(value)} must be a prompt or {{"prompt", "object"}}')
    return Neighbour(
        prompt=fields.text(value, "prompt"), object=fields.text(value, "object", "") or None
    )


def _neighbour_row(neighbour: Neighbour) -> Row | str:
    if neighbour.object is None:
        return neighbour.prompt
    return {"prompt": neighbour.prompt, "object": neighbour.object}
