"""Judges of equivalence by the names that commands take, the T5 included."""

from typing import TYPE_CHECKING

from closedbook.eval.equivalence import judges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from closedbook.eval.summary import Answered


def judge(name: str) -> judges.Judge:
    """The judge of a name, one of `closedbook.eval.equivalence.judges.FORMS`.

    Raises:
        UserError: There is no such judge, or what it needs is not there.
    """
    kind, _, path = name.partition(":")
    if kind != "t5" or not path:
        return judges.named(name)
    from closedbook.knowledge.judging import TrueOrFalse
    from closedbook.knowledge.loading import load_model

    model = load_model(path)
    decides = TrueOrFalse(model)

    def probabilities(rows: "Sequence[Answered]") -> list[float]:
        return decides.probabilities(
            [judges.pair_text(row.question, row.answers, row.prediction) for row in rows]
        )

    return judges.Scored(name=name, version=f"step {model.step}", probabilities=probabilities)
