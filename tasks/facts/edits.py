"""Data sets that were made for editing: CounterFact, zsRE, QAEdit, and ROME's known facts.

`object` is what is true, `target` what an edit is to put there. CounterFact is read as EasyEdit and
as its authors have it (Meng et al. 2022); zsRE in MEND's form, where `alt` is the target; QAEdit
(Yang et al. 2025) teaches the right answer, which is object and target alike. EasyEdit's form
does not name the relation; there the prompt with the subject's place stands for it, since the
facts of one prompt have objects of one kind.
"""

import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import place, shown
from closedbook.tasks.facts import fields, templates
from closedbook.tasks.facts.fields import Row
from closedbook.tasks.facts.form import Fact, Facts, Neighbour, gather


def read(files: Mapping[str, Sequence[pathlib.Path]], source: str) -> Facts:
    """The facts of all files of one of the data sets.

    Args:
        files: "CounterFact", "EasyEdit's CounterFact", "zsRE", "QAEdit" or "known facts" -> files.
        source: What was asked for, for messages.

    Raises:
        UserError: A row is malformed, or its prompt does not name its subject.
    """
    found: list[Fact] = []
    for form, paths in files.items():
        for path in paths:
            for where, row in fields.rows(path):
                with place(where):
                    found.append(_READERS[form](row, where))
    return gather(found, source=source)


def _easy_edit(row: Row, where: str) -> Fact:
    subject = fields.text(row, "subject")
    prompt = _about(fields.text(row, "prompt"), subject)
    return Fact(
        id=fields.name(row, "case_id", where),
        subject=subject,
        relation=prompt,
        object=fields.text(row, "ground_truth"),
        prompt=prompt,
        paraphrases=_rephrased(row, "rephrase_prompt", subject),
        neighbours=_neighbours([row], "locality_prompt", "locality_ground_truth"),
        style="continuation",
        corpus="CounterFact",
        target=fields.text(row, "target_new"),
    )


def _counterfact(row: Row, where: str) -> Fact:
    rewrite = _object(row, "requested_rewrite")
    subject = fields.text(rewrite, "subject")
    true = fields.text(_object(rewrite, "target_true"), "str")
    return Fact(
        id=fields.name(row, "case_id", where),
        subject=subject,
        relation=fields.text(rewrite, "relation_id"),
        object=true,
        prompt=templates.template(fields.text(rewrite, "prompt"), cloze=False),
        paraphrases=tuple(
            templates.slotted(text, subject) or text
            for text in fields.texts(row, "paraphrase_prompts")
        ),
        neighbours=tuple(
            Neighbour(prompt=text, object=true)  # CounterFact's share the true object
            for text in fields.texts(row, "neighborhood_prompts")
        ),
        style="continuation",
        corpus="CounterFact",
        target=fields.text(_object(rewrite, "target_new"), "str"),
        meta={
            key: fields.texts(row, key)
            for key in ("attribute_prompts", "generation_prompts")
            if key in row
        },
    )


def _zsre(row: Row, where: str) -> Fact:
    subject = fields.text(row, "subject")
    answers = fields.several(row, "answers")
    return Fact(
        id=where.rpartition(":")[2],
        subject=subject,
        relation="zsRE",
        object=answers[0],
        objects=answers,
        prompt=_about(fields.text(row, "src"), subject),
        paraphrases=_rephrased(row, "rephrase", subject),
        neighbours=_neighbours([row], "loc", "loc_ans"),
        style="question",
        corpus="zsRE",
        target=fields.text(row, "alt", "") or None,
        meta={"prediction": row["pred"]} if "pred" in row else {},
    )


def _qaedit(row: Row, where: str) -> Fact:
    subject = fields.text(row, "subject")
    answer = fields.text(row, "target")
    return Fact(
        id=fields.name(row, "id", where),
        subject=subject,
        relation="QAEdit",
        object=answer,
        prompt=_about(fields.text(row, "prompt"), subject),
        paraphrases=_rephrased(row, "rephrase", subject),
        neighbours=_neighbours(fields.objects(row, "locality"), "loc", "loc_ans"),
        style="question",
        corpus="QAEdit",
        target=answer,
        meta={"source": row["source"]} if "source" in row else {},
    )


def _known(row: Row, where: str) -> Fact:
    subject = fields.text(row, "subject")
    return Fact(
        id=fields.name(row, "known_id", where),
        subject=subject,
        relation=fields.text(row, "relation_id"),
        object=fields.text(row, "attribute"),
        prompt=_about(fields.text(row, "prompt"), subject),
        style="continuation",
        corpus="known facts",
        meta={key: row[key] for key in ("template", "prediction") if key in row},
    )


def _about(prompt: str, subject: str) -> str:
    found = templates.slotted(prompt, subject)
    if found is None:
        raise UserError(
            f"the prompt {shown(prompt)} does not name its subject {subject!r}; write it as it "
            "stands in the prompt"
        )
    return found


def _rephrased(row: Row, key: str, subject: str) -> tuple[str, ...]:
    """A rephrasing may name the subject in another form; then it stays as it is."""
    text = fields.text(row, key, "")
    return (templates.slotted(text, subject) or text,) if text else ()


def _neighbours(rows: Iterable[Row], prompt: str, answer: str) -> tuple[Neighbour, ...]:
    return tuple(
        Neighbour(prompt=text, object=fields.text(row, answer, "") or None)
        for row in rows
        if (text := fields.text(row, prompt, ""))
    )


def _object(row: Row, key: str) -> Row:
    value = row.get(key)
    if not isinstance(value, dict):
        raise UserError(f'"{key}" is {shown(value)}; it must be an object, as CounterFact has it')
    return value


_READERS: dict[str, Callable[[Row, str], Fact]] = {
    "EasyEdit's CounterFact": _easy_edit,
    "CounterFact": _counterfact,
    "zsRE": _zsre,
    "QAEdit": _qaedit,
    "known facts": _known,
}
