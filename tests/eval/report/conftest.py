"""An analysis made up for the reports' tests, and the browser that opens them."""

import dataclasses
import os
import pathlib
import random
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from closedbook.eval.analysis.analysis import Analysis
from closedbook.eval.report import html

VERDICTS = ("correct", "phrasing", "incomplete?", "unanswerable", "wrong")


def _interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": max(0.0, mean - 0.02), "high": min(1.0, mean + 0.02)}


def example(number: int, **changes: Any) -> dict[str, Any]:
    """Row `number` of a made-up file; verdicts go round."""
    verdict = VERDICTS[number % len(VERDICTS)]
    correct = verdict == "correct"
    score = {"em": float(correct), "f1": 1.0 if correct else 0.5}
    return {
        "id": f"q{number}",
        "question": f"who discovered island number {number}",
        "answers": [f"Captain {number}", f"Captain J. {number}"],
        "prediction": f"Captain {number}" if correct else f"Admiral {number}",
        "score": -0.01 * number,
        "alternatives": [{"text": f"Sailor {number}", "score": -3.5}],
        "task": "islands",
        "split": "test",
        "step": 100,
        "meta": {},
        "scores": {"squad": score, "nq_open": score},
        "correct": correct,
        "verdict": verdict,
        "probability": 0.9 if verdict == "phrasing" else 0.1,
        "reason": "names.surname" if verdict == "phrasing" else "none",
        "evidence": f"evidence of row {number}",
        "flag": "time_dependent" if verdict == "unanswerable" else None,
        "flag_reason": "now" if verdict == "unanswerable" else "",
        "candidate": 0.75 if verdict == "incomplete?" else 0.0,
        "slices": {"question word": "who", "answer type": "person"},
        **changes,
    }


def analysis_of(examples: list[dict[str, Any]], **changes: Any) -> Analysis:
    """An analysis around the given examples, every part of it filled."""
    drawn = random.Random(0)
    n = len(examples)
    ids = [row["id"] for row in examples]
    confidence = {
        "bins": [
            {
                "low": k / 10,
                "high": (k + 1) / 10,
                "n": drawn.randint(5, 90),
                "confidence": (k + 0.5) / 10,
                "accuracy": (k + 0.5) / 12,
            }
            for k in range(10)
        ],
        "ece": {"mean": 0.081, "low": 0.06, "high": 0.1},
        "macro_ce": None,
        "brier": {"mean": 0.19, "low": 0.17, "high": 0.21},
        "risk_coverage": [{"coverage": k / 50, "risk": 0.5 * k / 50} for k in range(1, 51)],
        "aurc": {"mean": 0.231, "low": 0.2, "high": 0.26},
        "coverage_at_90": {"mean": 0.4, "low": 0.35, "high": 0.44},
    }
    kinds = (("true negative", 0.62), ("phrasing", 0.133), ("incomplete", 0.133))
    parts: dict[str, Any] = {
        "meta": {
            "source": "made_up.jsonl",
            "n": n,
            "n_questions": n,
            "task": "islands",
            "split": "test",
            "protocol": "squad",
            "judge": {"mode": "learned", "threshold": 0.5, "weights": "1"},
            "closedbook": "0.1.0",
        },
        "protocols": [
            {"protocol": "squad", "n": n, "em": _interval(0.366), "f1": _interval(0.42)},
            {"protocol": "nq_open", "n": n, "em": _interval(0.35), "f1": None},
        ],
        "disagreements": [
            {
                "protocols": ["squad", "nq_open"],
                "only_first": 3,
                "only_second": 1,
                "why": [{"reason": "case", "right": "squad", "count": 4, "ids": ids[:4]}],
            }
        ],
        "audit": [
            {
                "rule": "stop at a comma",
                "em": 0.31,
                "lost": 12,
                "gained": 0,
                "gold_unreachable": 3,
                "ids": ids[:2],
            }
        ],
        "taxonomy": {
            "labelled": False,
            "n": n,
            "wrong": round(0.634 * n),
            "rows": [
                {
                    "name": name,
                    "asserted": name != "incomplete",
                    "count": round(share * n, 1),
                    "share": share,
                    "low": share - 0.05,
                    "high": share + 0.05,
                }
                for name, share in (*kinds, ("unanswerable", 0.114))
            ],
            "em": _interval(0.366),
            "adjusted": _interval(0.5765),
            "how": "from the judge's probabilities",
        },
        "answerability": [
            {"flag": "time_dependent", "count": 20, "share": 0.1, "low": 0.08, "high": 0.13}
        ],
        "slices": [
            {
                "slice": "question word",
                "value": "who",
                "n": n,
                "em": _interval(0.366),
                "adjusted": _interval(0.5765),
            }
        ],
        "confidence": {
            "source": "exp(score)",
            "probability": True,
            "n": n,
            "missing": 0,
            "strict": confidence,
            "adjusted": confidence,
        },
        "candidates": [
            {
                "id": row["id"],
                "question": row["question"],
                "prediction": row["prediction"],
                "score": 0.75,
                "reasons": ["several systems agree"],
            }
            for row in examples
            if row["verdict"] == "incomplete?"
        ][:30],
        "examples": examples,
    }
    return Analysis(**{**parts, **changes})


@pytest.fixture
def make_example() -> Callable[..., dict[str, Any]]:
    """`example`: tests cannot import from here."""
    return example


@pytest.fixture
def make_analysis() -> Callable[..., Analysis]:
    """`analysis_of`: tests cannot import from here."""
    return analysis_of


@pytest.fixture
def analysis() -> Analysis:
    """Forty ordinary rows."""
    return analysis_of([example(number) for number in range(40)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """A report in the browser, and what the browser had to say about it."""

    page: Any  # playwright's Page
    errors: list[str]  # of the console, of scripts, of the content security policy
    requests: list[str]  # addresses asked for, but for the page itself


@pytest.fixture(scope="session")
def document() -> str:
    """The page of forty ordinary rows."""
    return html.render_html(analysis_of([example(number) for number in range(40)]))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; skips where there is none, or no playwright."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CLOSEDBOOK_CHROMIUM") or next(filter(None, map(shutil.which, names)), "")
    if not path:
        pytest.skip("no Chromium; apt-get install chromium, or set CLOSEDBOOK_CHROMIUM to its path")
    with driver.sync_playwright() as playwright:
        # Containers give no rights for Chromium's own sandbox.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_report(browser: Any, tmp_path: pathlib.Path) -> Iterator[Callable[..., Opened]]:
    """Opens a page's text as a file, as a reader would, and waits until it can be used."""
    contexts = []

    def opened(document: str, *, script: str = "", **options: Any) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(document, encoding="utf-8")
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        errors: list[str] = []
        requests: list[str] = []
        page.on("console", lambda line: errors.append(line.text) if line.type != "log" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        requests.remove(path.as_uri())
        return Opened(page=page, errors=errors, requests=requests)

    yield opened
    for context in contexts:
        context.close()
