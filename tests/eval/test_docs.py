"""The evaluator's page names what the code can say."""

import pathlib

from closedbook.eval.equivalence.reasons import Reason
from closedbook.eval.protocols import JUDGED, PROTOCOLS

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "evaluator.md"


def test_every_reason_code_and_protocol_is_listed():
    page = PAGE.read_text(encoding="utf-8")
    for reason in Reason:
        assert f"| `{reason}` | {reason.description} |" in page
    assert [name for name in (*PROTOCOLS, *JUDGED) if f"`{name}`" not in page] == []
