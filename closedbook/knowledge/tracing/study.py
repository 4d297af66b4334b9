"""Tracing many facts, one after the other; what is done is kept, so that a kill costs one fact."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from closedbook import whole_files
from closedbook.errors import UserError
from closedbook.knowledge.tracing import roles
from closedbook.knowledge.tracing.cases import Case
from closedbook.knowledge.tracing.kinds import CONVENTIONS, Convention, Kind
from closedbook.knowledge.tracing.noise import Noise
from closedbook.knowledge.tracing.program import Tracer
from closedbook.knowledge.tracing.severed import severed
from closedbook.knowledge.tracing.trace import trace

Row = dict[str, Any]
Progress = Callable[[str, int, int], None]
_DIGITS = 7  # of a probability


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured of every fact.

    Attributes:
        kinds: What is restored.
        noise: On the subject's embeddings.
        width: Layers of a window; None for one in proportion to each stack's layers.
        convention: Of windows and of severed runs: of kmeng01/rome's "code", or of the "paper".
        severed: Whether severed curves are measured too.

    Raises:
        UserError: The window is less than a layer wide.
    """

    kinds: tuple[Kind, ...]
    noise: Noise
    width: int | None = None
    convention: Convention = "code"
    severed: bool = True

    def __post_init__(self) -> None:
        if self.width is not None and self.width < 1:
            raise UserError(f"the window is {self.width} layers wide; give 1 or more")
        assert self.convention in CONVENTIONS


def run(
    tracer: Tracer,
    cases: Sequence[Case],
    settings: Settings,
    *,
    keep: pathlib.Path | None = None,
    progress: Progress = lambda step, done, total: None,
) -> list[Row]:
    """Traces facts; one row each, as JSON has them.

    Args:
        tracer: The model.
        cases: The facts.
        settings: What is measured.
        keep: A folder for the rows of finished facts. What it holds of the same model, fact and
            settings is not measured again.
        progress: Is told a step, how many facts are done, and of how many.

    Raises:
        UserError: The model gives no numbers.
    """
    context = f"{tracer.model.sha256} {settings!r}" if keep else ""
    rows = []
    for number, case in enumerate(cases):
        progress(case.prompt.subject, number, len(cases))
        digest = hashlib.sha256(f"{context} {case!r}".encode()).hexdigest()
        path = keep / f"{digest[:32]}.json" if keep else None
        row = _read(path) if path else None
        if row is None:
            row = of_case(tracer, case, settings)
            if path and len(cases) > 1:
                path.parent.mkdir(parents=True, exist_ok=True)
                whole_files.write_text(path, json.dumps(row))
        rows.append(row)
    return rows


def of_case(tracer: Tracer, case: Case, settings: Settings) -> Row:
    """All that is measured of a fact.

    Returns:
        "id", "relation", "subject", "prompt", "answer"; "tokens", by stack the texts;
        "subject_tokens" [first, limit] of the stack that reads it; "roles", by stack the tokens
        of each; "clean" and "corrupted", probabilities of the answer; "scores", by kind
        [tokens][layers], the same with one token's activations restored; "severed", by kind
        [layers], with the state at the subject's last token restored.
    """
    found = trace(
        tracer,
        case,
        settings.kinds,
        noise=settings.noise,
        width=settings.width,
        convention=settings.convention,
    )
    stacks = list(tracer.config.stacks)
    row: Row = {
        "id": case.id,
        "relation": case.relation,
        "subject": case.prompt.subject,
        "prompt": case.prompt.text,
        "answer": case.answer,
        "answer_tokens": list(case.targets),
        "tokens": {
            stack: list(case.prompt.tokens if stack == "encoder" else case.tokens)
            for stack in stacks
        },
        "subject_tokens": [case.prompt.first, case.prompt.limit],
        "roles": {stack: roles.places(case, stack) for stack in stacks},
        "clean": round(found.clean, _DIGITS),
        "corrupted": round(found.corrupted, _DIGITS),
        "scores": {kind: _rounded(values) for kind, values in found.scores.items()},
    }
    if settings.severed:
        cut = severed(tracer, case, noise=settings.noise, convention=settings.convention)
        row["severed"] = {name: _rounded(values) for name, values in cut.items()}
    return row


def _rounded(values: np.ndarray) -> Any:
    return np.round(values.astype(np.float64), _DIGITS).tolist()


def _read(path: pathlib.Path) -> Row | None:
    with contextlib.suppress(FileNotFoundError):
        found: Row = json.loads(path.read_text(encoding="utf-8"))
        return found
    return None
