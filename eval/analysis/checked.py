"""What is checked of the arguments of an analysis before any work is done."""

from collections.abc import Sequence

from closedbook.errors import UserError
from closedbook.eval.analysis import candidates
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction


def ids(rows: Sequence[Prediction]) -> list[str]:
    """Each row's id; a row without one has its number, from 1, if that is no other row's id.

    Raises:
        UserError: A row's number is the id of another row.
    """
    given = {str(row.id): number for number, row in enumerate(rows, start=1) if row.id is not None}
    for number, row in enumerate(rows, start=1):
        if row.id is None and str(number) in given:
            raise UserError(
                f"row {number} has no id, and its number is the id of row {given[str(number)]}; "
                "give every row an id, or none"
            )
    return [str(number if row.id is None else row.id) for number, row in enumerate(rows, start=1)]


def check_shared(
    rows: Sequence[Prediction], others: Sequence[Prediction | Gold], who: str, what: str
) -> None:
    """Refuses other rows that share no question with the predictions.

    Args:
        rows: The predictions.
        others: The other rows.
        who: Begins the message: "NAME has".
        what: What to give instead.

    Raises:
        UserError: No question is in both.
    """
    asked = {candidates.question_key(row.question) for row in rows}
    if not any(candidates.question_key(row.question) in asked for row in others):
        raise UserError(
            f"{who} no question in common with the predictions; give {what} for the same questions"
        )
