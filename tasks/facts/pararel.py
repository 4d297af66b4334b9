"""ParaRel (Elazar et al. 2021): T-REx's triples with many patterns for each relation.

A relation's first pattern is the prompt and the others are its paraphrases. Two of the 41 relations
(P31, P527) have triples and no patterns; their facts are dropped and counted.
"""

import pathlib
from collections.abc import Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import place
from closedbook.tasks.facts import fields, templates
from closedbook.tasks.facts.form import Fact, Facts, gather

NO_PATTERN = "relation without a pattern"


def read(files: Mapping[str, Sequence[pathlib.Path]], source: str) -> Facts:
    """The facts of all triple files, whose names are those of the relations.

    Args:
        files: "ParaRel" (triples) and "ParaRel patterns" -> their files.
        source: What was asked for, for messages.

    Raises:
        UserError: A row is malformed, or no relation has a pattern.
    """
    patterns = {path.name.split(".")[0]: _patterns(path) for path in files["ParaRel patterns"]}
    found: list[Fact] = []
    dropped = 0
    for path in files["ParaRel"]:
        name = path.name.split(".")[0]
        for where, row in fields.rows(path):
            if name not in patterns:
                dropped += 1
                continue
            with place(where):
                found.append(
                    Fact(
                        id=fields.name(row, "uuid", where),
                        subject=fields.text(row, "sub_label"),
                        relation=name,
                        object=fields.text(row, "obj_label"),
                        prompt=patterns[name][0],
                        paraphrases=tuple(patterns[name][1:]),
                        corpus="ParaRel",
                    )
                )
    if not found:
        raise UserError(
            f"{source}: none of ParaRel's relations has a pattern; put its pattern files "
            "(pattern_data/graphs_json/P*.jsonl) beside the folder of triples"
        )
    return gather(found, source=source, dropped={NO_PATTERN: dropped} if dropped else None)


def _patterns(path: pathlib.Path) -> list[str]:
    found = []
    for where, row in fields.rows(path):
        with place(where):
            found.append(templates.template(fields.text(row, "pattern"), cloze=True))
    return found
