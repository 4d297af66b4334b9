"""Tracing many facts, one after the other; what is done is kept, so that a kill costs one fact."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from closedbook import whole_files
from closedbook.errors import UserError
from closedbook.knowledge.progress import Progress, silent
from closedbook.knowledge.tracing import roles
from closedbook.knowledge.tracing.agreement import agreement
from closedbook.knowledge.tracing.approximate import Method, approximate, verified
from closedbook.knowledge.tracing.cases import Case
from closedbook.knowledge.tracing.kinds import CONVENTIONS, Convention, Kind
from closedbook.knowledge.tracing.lenses import lenses
from closedbook.knowledge.tracing.noise import Noise
from closedbook.knowledge.tracing.program import Tracer
from closedbook.knowledge.tracing.severed import severed
from closedbook.knowledge.tracing.trace import trace

Row = dict[str, Any]
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
        lenses: Whether the logit lens and the DecoderLens look at it too.
        exact: Whether each restoration is run. Else the first of `approximations` stands for it.
        approximations: Estimates, compared with the exact map where that is measured too.
        verify: Of an estimate without an exact map the highest cells of each kind, so many, are
            measured.

    Raises:
        UserError: The window is less than a layer wide, or nothing is measured.
    """

    kinds: tuple[Kind, ...]
    noise: Noise
    width: int | None = None
    convention: Convention = "code"
    severed: bool = True
    lenses: bool = False
    exact: bool = True
    approximations: tuple[Method, ...] = ()
    verify: int = 0

    def __post_init__(self) -> None:
        if not self.exact and not self.approximations:
            raise UserError("neither exact tracing nor an approximation is asked for")
        if self.verify < 0 or (self.verify and self.exact):
            raise UserError(
                f"--verify is {self.verify}; it measures the highest cells of an approximation: "
                "give 1 or more, and no --exact"
            )
        if self.width is not None and self.width < 1:
            raise UserError(f"the window is {self.width} layers wide; give 1 or more")
        assert self.convention in CONVENTIONS


def run(
    tracer: Tracer,
    cases: Sequence[Case],
    settings: Settings,
    *,
    keep: pathlib.Path | None = None,
    progress: Progress = silent,
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
        of each; "measured" ("exact", or the method of an estimate); "clean" and "corrupted",
        probabilities of the answer; "scores", by kind [tokens][layers], the same with one token's
        activations restored; "severed", by kind [layers], with the state at the subject's last
        token restored; "lenses", by lens a list over layers; "approximate", by method and kind
        changes of the answer's log-probability [tokens][layers]; "agreement", by method and kind
        (None for a map of one value); "verified", by kind the measured scores of the cells that
        an estimate puts highest.
    """
    form: dict[str, Any] = {"noise": settings.noise, "width": settings.width}
    form["convention"] = settings.convention
    estimates = {
        method: approximate(tracer, case, settings.kinds, method, **form)
        for method in settings.approximations
    }
    if settings.exact:
        found = trace(tracer, case, settings.kinds, **form)
    else:
        found = estimates[settings.approximations[0]][0]
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
        "measured": "exact" if settings.exact else settings.approximations[0],
        "clean": round(found.clean, _DIGITS),
        "corrupted": round(found.corrupted, _DIGITS),
        "scores": {kind: _rounded(values) for kind, values in found.scores.items()},
    }
    if settings.severed:
        cut = severed(tracer, case, noise=settings.noise, convention=settings.convention)
        row["severed"] = {name: _rounded(values) for name, values in cut.items()}
    if settings.lenses:
        row["lenses"] = _lenses(tracer, case)
    if estimates:
        row["approximate"] = {
            method: {kind: _rounded(values) for kind, values in changes.items()}
            for method, (_, changes) in estimates.items()
        }
    if estimates and settings.exact:
        row["agreement"] = {
            method: {kind: agreement(found.effects(kind), changes[kind]) for kind in changes}
            for method, (_, changes) in estimates.items()
        }
    if settings.verify:
        cells = verified(tracer, case, found, settings.kinds, settings.verify, **form)
        row["verified"] = {
            kind: [
                {"token": token, "layer": layer, "score": round(score, _DIGITS)}
                for token, layer, score in some
            ]
            for kind, some in cells.items()
        }
    return row


def _lenses(tracer: Tracer, case: Case) -> Row:
    """By lens a list over layers of what it sees."""
    decode = tracer.model.vocabulary.decode
    return {
        name: [
            {
                "layer": layer,
                "probability": round(float(seen.probability[layer]), _DIGITS),
                "first": decode([int(token)]).strip() or f"<{token}>",
                "first_probability": round(float(seen.first_probability[layer]), _DIGITS),
                "first_right": int(token) == case.targets[0],
            }
            for layer, token in enumerate(seen.first)
        ]
        for name, seen in lenses(tracer, case).items()
    }


def _rounded(values: np.ndarray) -> Any:
    return np.round(values.astype(np.float64), _DIGITS).tolist()


def _read(path: pathlib.Path) -> Row | None:
    with contextlib.suppress(FileNotFoundError):
        found: Row = json.loads(path.read_text(encoding="utf-8"))
        return found
    return None
