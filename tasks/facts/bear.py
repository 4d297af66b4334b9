"""BEAR (Wiland, Ploner, Akbik 2024): balanced relations with closed answer spaces.

Each relation has three templates, of which the first is the prompt, and an answer space in which
every answer is right equally often. The metadata file holds both; a fact names its answer by the
place in the space.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import place, shown
from closedbook.tasks.facts import fields, templates
from closedbook.tasks.facts.form import Fact, Facts, Relation, gather, type_of


def read(files: Mapping[str, Sequence[pathlib.Path]], source: str) -> Facts:
    """The facts of all relation files, whose names are those of the relations.

    Args:
        files: "BEAR" and "BEAR metadata" -> their files.
        source: What was asked for, for messages.

    Raises:
        UserError: A row is malformed, or a relation stands in no metadata file.
    """
    metadata: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for path in files["BEAR metadata"]:
        metadata.update(_metadata(path))
    found: list[Fact] = []
    relations = []
    for path in files["BEAR"]:
        name = path.name.split(".")[0]
        if name not in metadata:
            raise UserError(
                f"{path}: relation {name} has no templates; metadata_relations.json must lie "
                "beside it and name it"
            )
        prompts, space = metadata[name]
        rows = list(fields.rows(path))
        kind = type_of((str(row.get("sub_id")), str(row.get("obj_id"))) for _, row in rows)
        relations.append(Relation(name=name, type=kind, corpus="BEAR", candidates=space))
        for number, (where, row) in enumerate(rows):
            with place(where):
                found.append(
                    Fact(
                        id=f"{name}:{number}",
                        subject=fields.text(row, "sub_label"),
                        relation=name,
                        object=_answer(row, space),
                        prompt=prompts[0],
                        paraphrases=prompts[1:],
                        type=kind,
                        corpus="BEAR",
                        meta={
                            key: row[key]
                            for key in ("sub_id", "sub_aliases", "obj_id")
                            if key in row
                        },
                    )
                )
    return gather(found, source=source, relations=relations)


def _metadata(path: pathlib.Path) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    found = {}
    for name, row in fields.mapping(path).items():
        with place(f"{path}: relation {name}"):
            if not isinstance(row, dict):
                raise UserError(f"{shown(row)} is not an object with templates")
            prompts = [
                templates.template(each, cloze=True) for each in fields.several(row, "templates")
            ]
            found[name] = (tuple(prompts), fields.several(row, "answer_space_labels"))
    return found


def _answer(row: Mapping[str, Any], space: Sequence[str]) -> str:
    index, label = row.get("answer_idx"), fields.text(row, "obj_label")
    if not isinstance(index, int) or not 0 <= index < len(space) or space[index] != label:
        raise UserError(
            f'"answer_idx" is {shown(index)}, where the answer space does not have {label!r}; the '
            "metadata file must be that of the same version"
        )
    return label
