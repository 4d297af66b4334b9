"""PopQA (Mallen et al. 2023): questions about long-tail entities, with how popular they are.

Its table (`test.tsv`) or JSON lines with the same columns. `meta` keeps `s_pop` and `o_pop`, the
monthly page views of subject and object.
"""

import pathlib
from collections.abc import Mapping, Sequence

from closedbook.eval.files.json_lines import place
from closedbook.tasks.facts import fields, templates
from closedbook.tasks.facts.form import Fact, Facts, gather

NO_SUBJECT = "question without its subject"


def read(files: Mapping[str, Sequence[pathlib.Path]], source: str) -> Facts:
    """The questions of all files; those in which the subject's name does not stand are dropped.

    Args:
        files: "PopQA" -> its files.
        source: What was asked for, for messages.

    Raises:
        UserError: A row is malformed.
    """
    found: list[Fact] = []
    dropped = 0
    for path in files["PopQA"]:
        for where, row in fields.rows(path):
            with place(where):
                subject = fields.text(row, "subj")
                prompt = templates.slotted(fields.text(row, "question"), subject)
                if prompt is None:
                    dropped += 1
                    continue
                answers = fields.texts(row, "possible_answers") or fields.texts(row, "answers")
                found.append(
                    Fact(
                        id=fields.name(row, "id", where),
                        subject=subject,
                        relation=fields.text(row, "prop"),
                        object=fields.text(row, "obj"),
                        objects=answers,
                        prompt=prompt,
                        style="question",
                        corpus="PopQA",
                        meta={
                            key: row[key]
                            for key in ("s_pop", "o_pop", "s_uri", "o_uri")
                            if row.get(key) is not None
                        },
                    )
                )
    return gather(found, source=source, dropped={NO_SUBJECT: dropped} if dropped else None)
