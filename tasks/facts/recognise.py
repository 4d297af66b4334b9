"""Which data set the files of a folder are of, told by their content; and reading them."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from closedbook.errors import UserError
from closedbook.eval.files import tables, text_files
from closedbook.tasks.facts import (
    atlas,
    bear,
    edits,
    entity_questions,
    fields,
    lama,
    own_files,
    pararel,
    popqa,
)
from closedbook.tasks.facts.form import Facts, Style

_FIRST_LOOK = 1 << 14  # characters of a file that are looked at for its first row
_ENOUGH = 4 << 20  # at most
_ENDINGS = (".jsonl", ".json", *tables.SUFFIXES)

Files = Mapping[str, Sequence[pathlib.Path]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """Files that are read together."""

    name: str
    read: Callable[[Files, str], Facts]
    companion: str | None = None  # the form that facts need beside them
    companion_at: tuple[str, ...] = ()  # where it lies, from a file's folder or one above
    always: bool = True  # whether all of its forms need the companion


_OF_OWN = ("subject", "relation", "object", "objects", "prompt")
_OWN = Family(name="facts", read=own_files.read)
_LAMA = Family(
    name="LAMA",
    read=lama.read,
    companion="LAMA templates",
    companion_at=("relations.jsonl", "data/relations.jsonl"),
    always=False,
)
_PARAREL = Family(
    name="ParaRel",
    read=pararel.read,
    companion="ParaRel patterns",
    companion_at=("pattern_data/graphs_json/P*.jsonl", "graphs_json/P*.jsonl"),
)
_BEAR = Family(
    name="BEAR",
    read=bear.read,
    companion="BEAR metadata",
    companion_at=("metadata_relations.json",),
)
_ENTITY_QUESTIONS = Family(
    name="EntityQuestions",
    read=entity_questions.read,
    companion="EntityQuestions templates",
    companion_at=("relation_query_templates.json",),
)
_POPQA = Family(name="PopQA", read=popqa.read)


def _edits(name: str) -> Family:
    return Family(name=name, read=edits.read)


# (form, its family, fields that its rows have): the first one that fits is it.
_FORMS: tuple[tuple[str, Family, frozenset[str]], ...] = tuple(
    (form, family, frozenset(keys.split()))
    for form, family, keys in (
        ("T-REx", _LAMA, "sub_label obj_label predicate_id"),
        ("Google-RE", _LAMA, "sub_label obj_label pred judgments"),
        ("ConceptNet", _LAMA, "masked_sentences obj_label pred"),
        ("SQuAD", _LAMA, "masked_sentences obj_label"),
        ("LAMA templates", _LAMA, "relation template"),
        ("BEAR", _BEAR, "sub_label obj_label answer_idx"),
        ("ParaRel", _PARAREL, "sub_label obj_label"),
        ("ParaRel patterns", _PARAREL, "pattern"),
        ("PopQA", _POPQA, "subj prop obj question"),
        ("CounterFact", _edits("CounterFact"), "requested_rewrite"),
        (
            "EasyEdit's CounterFact",
            _edits("EasyEdit's CounterFact"),
            "prompt subject target_new ground_truth",
        ),
        ("zsRE", _edits("zsRE"), "subject src alt answers"),
        ("QAEdit", _edits("QAEdit"), "prompt subject target locality"),
        ("known facts", _edits("known facts"), "known_id subject attribute prompt"),
        ("facts", _OWN, "subject relation object"),
        ("facts", _OWN, "subject relation objects"),
        ("facts", _OWN, "relation candidates"),
        ("facts", _OWN, "relation templates"),
        ("facts", _OWN, "subject relation"),
    )
)
_FAMILIES = {form: family for form, family, _ in _FORMS} | {
    "BEAR metadata": _BEAR,
    "EntityQuestions": _ENTITY_QUESTIONS,
    "EntityQuestions templates": _ENTITY_QUESTIONS,
}
_COMPANIONS = {family.companion for family in _FAMILIES.values()}


def recognise(path: str | os.PathLike[str]) -> str | None:
    """The form of a file by its first row, or the name of the data set of a folder.

    Args:
        path: File or folder.

    Returns:
        Such as "T-REx" or "ParaRel patterns" for a file, "LAMA" for a folder; None where it is no
        form that we know.

    Raises:
        UserError: There is no such path, or a folder holds several data sets or an empty file.
    """
    path = _existing(path)
    if path.is_dir():
        forms = _forms(path)
        return _family(forms, path).name if forms else None
    first = _first_row(path)
    if not isinstance(first, dict):
        return None
    if entity_questions.NAME.fullmatch(path.name) and {"question", "answers"} <= set(first):
        return "EntityQuestions"
    if any(isinstance(v, dict) and "answer_space_labels" in v for v in first.values()):
        return "BEAR metadata"
    if first and all(isinstance(v, str) and "[X]" in v for v in first.values()):
        return "EntityQuestions templates"
    if "relation" in first and set(first) <= set(own_files.OF_RELATIONS):
        return "facts"
    return next((form for form, _, keys in _FORMS if keys <= set(first)), None)


def read_facts(
    data: str | os.PathLike[str],
    *,
    relations: Iterable[str] | None = None,
    style: Style | None = None,
) -> Facts:
    """Facts of any data set in the one form.

    Args:
        data: A folder or a file, whose form is recognised by its content, or "atlas". What a file
            needs beside it, such as LAMA's templates, is looked for in its folder and above.
        relations: Names of those wanted; default: all.
        style: Style of the prompts. The atlas has "cloze" (default) and "question"; of other data
            it is only checked.

    Raises:
        UserError: The data cannot be read, is of no form or of several, lacks a relation that is
            wanted, or asks in another style.
    """
    if os.fspath(data) == atlas.NAME:
        found = atlas.read(style or "cloze")
    else:
        path = _existing(data)
        found = _read(path)
        if style is not None:
            other = next((fact for fact in found.facts if fact.style != style), None)
            if other is not None:
                raise UserError(
                    f"{path}: fact {other.id} asks by a {other.style} ({other.prompt!r}), not by a "
                    f"{style}; choose a model for that style"
                )
    return found if relations is None else found.only(relations)


def _read(path: pathlib.Path) -> Facts:
    forms = _forms(path) if path.is_dir() else {recognise(path): [path]}
    known = {form: paths for form, paths in forms.items() if form is not None}
    if not known:
        if path.is_file():
            next(fields.rows(path), None)  # says where the file is no JSON or no table
        raise UserError(
            f"{path} holds no facts in a form that we know{_lacking(path)}; give the files of "
            f"{', '.join(dict.fromkeys(f.name for f in _FAMILIES.values() if f is not _OWN))}, or "
            'JSON lines such as {"subject": "Peru", "relation": "capital", "object": "Lima", '
            '"prompt": "The capital of {} is [Y]."}'
        )
    family = _family(known, path)
    if family.companion is not None and not known.get(family.companion):
        beside = _companions(path, family)
        if not beside and family.always:
            raise UserError(
                f"{path}: {family.name} needs its {family.companion} "
                f"({' or '.join(family.companion_at)}) in the folder of the facts or above"
            )
        known[family.companion] = beside
    if not any(paths for form, paths in known.items() if form not in _COMPANIONS):
        raise UserError(f"{path} holds templates of {family.name} and no facts; name their folder")
    return family.read(known, os.fspath(path))


def _lacking(path: pathlib.Path) -> str:
    """What the first row of a file lacks of a fact of one's own, where it has something of one."""
    first = _first_row(path) if path.is_file() else None
    given = [key for key in _OF_OWN if isinstance(first, dict) and key in first]
    lacks = [key for key in _OF_OWN[:2] if key not in given]
    if not given or not lacks:
        return ""
    names = [", ".join(f'"{key}"' for key in keys) for keys in (given, lacks)]
    return f" (its first row has {names[0]} and lacks {names[1]})"


def _forms(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    found: dict[str, list[pathlib.Path]] = {}
    for path in sorted(folder.rglob("*")):
        if text_files.suffix(path) in _ENDINGS and path.is_file():
            if not path.stat().st_size:
                raise UserError(f"{path} is empty; give its facts, or take it out of the folder")
            form = recognise(path)
            if form is not None:
                found.setdefault(form, []).append(path)
    return found


def _family(forms: Iterable[str], path: pathlib.Path) -> Family:
    families = {_FAMILIES[form].name: _FAMILIES[form] for form in forms}
    if len(families) > 1:
        raise UserError(
            f"{path} holds facts of several data sets ({', '.join(sorted(families))}); name the "
            "folder or the file of one"
        )
    return next(iter(families.values()))


def _companions(path: pathlib.Path, family: Family) -> list[pathlib.Path]:
    folder = path if path.is_dir() else path.parent
    for place in (folder, *folder.resolve().parents[:2]):
        for pattern in family.companion_at:
            found = sorted(each for each in place.glob(pattern) if each.is_file())
            if found:
                return found
    return []


def _existing(path: str | os.PathLike[str]) -> pathlib.Path:
    found = pathlib.Path(path).expanduser()
    if not os.fspath(path):
        raise UserError(
            f'no data is named; give a folder or a file of facts, or "{atlas.NAME}" for the '
            "packaged ones"
        )
    if not found.exists():
        raise UserError(
            f'there is no {found}; give a folder or a file of facts, or "{atlas.NAME}" for the '
            "packaged ones"
        )
    return found


def _first_row(path: pathlib.Path) -> Any:
    """The first JSON value of a file, or of the list that it holds; a table's first row."""
    if tables.is_table(path):
        try:
            return next(iter(fields.rows(path)))[1]
        except (UserError, StopIteration):
            return None
    lines: list[str] = []
    size, look_at = 0, _FIRST_LOOK
    for _, line in text_files.lines(path, what="facts", remedy="give a file of facts"):
        lines.append(line)
        size += len(line)
        if size > look_at:
            found = _first_value("".join(lines))
            if found is not None or size > _ENOUGH:
                return found
            look_at = _ENOUGH
    return _first_value("".join(lines))


def _first_value(text: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text.lstrip().removeprefix("[").lstrip())[0]
    except (ValueError, RecursionError):
        return None
