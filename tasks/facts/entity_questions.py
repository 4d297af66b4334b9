"""EntityQuestions (Sciavolino et al. 2021): questions made from one template for each relation.

The relation and the split stand in the name of a file (`P106.dev.json`), the subject only within
the question: it is what stands in the template's place. A second template ("P19_similar") becomes
the paraphrase.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import place
from closedbook.tasks.facts import fields, templates
from closedbook.tasks.facts.form import Fact, Facts, gather

NAME = re.compile(r"(P\d+)\.(train|dev|test)\.jsonl?(\.gz)?")
NO_TEMPLATE = "question that is not of its relation's template"
_SIMILAR = "_similar"


def read(files: Mapping[str, Sequence[pathlib.Path]], source: str) -> Facts:
    """The questions of all files.

    Args:
        files: "EntityQuestions" and "EntityQuestions templates" -> their files.
        source: What was asked for, for messages.

    Raises:
        UserError: A row is malformed, or a relation has no template.
    """
    known: dict[str, str] = {}
    for path in files["EntityQuestions templates"]:
        table = fields.mapping(path)
        for name in table:
            with place(str(path)):
                known[name] = templates.template(fields.text(table, name), cloze=False)
    found: list[Fact] = []
    dropped = 0
    for path in files["EntityQuestions"]:
        named = NAME.fullmatch(path.name)
        assert named is not None, "recognised by its name"
        relation, split = named[1], named[2]
        if relation not in known:
            raise UserError(
                f"{path}: relation {relation} has no template; relation_query_templates.json must "
                "lie in its folder or above, and name it"
            )
        similar = known.get(relation + _SIMILAR)
        forms = [known[relation], *filter(None, [similar])]
        for number, (where, row) in enumerate(fields.rows(path)):
            with place(where):
                question = fields.text(row, "question")
                subject = next(filter(None, (_subject(question, form) for form in forms)), None)
                if subject is None:
                    dropped += 1
                    continue
                answers = fields.several(row, "answers")
                found.append(
                    Fact(
                        id=f"{relation}:{split}:{number}",
                        subject=subject,
                        relation=relation,
                        object=answers[0],
                        objects=answers,
                        prompt=forms[0],
                        paraphrases=tuple(forms[1:]),
                        style="question",
                        corpus="EntityQuestions",
                        split=split,
                    )
                )
    return gather(found, source=source, dropped={NO_TEMPLATE: dropped} if dropped else None)


def _subject(question: str, template: str) -> str | None:
    before, _, after = template.partition(templates.SUBJECT)
    if not question.startswith(before) or not question.endswith(after):
        return None
    return question[len(before) : len(question) - len(after)].strip() or None
