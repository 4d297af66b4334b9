"""How fast predictions are analysed, and how fast their report opens in Chromium.

Predictions of random words are analysed and rendered; the page is opened `--rounds` times in fresh
tabs, each time from navigation until the table of examples can be used. Needs playwright and a
Chromium (`--chromium`).
"""

import argparse
import pathlib
import random
import resource
import shutil
import statistics
import tempfile
import time

from playwright.sync_api import Browser, sync_playwright

from closedbook.eval.analysis.analysis import analyze
from closedbook.eval.predictions import Prediction
from closedbook.eval.report.html import render_html

_WORDS = ("who", "what", "when", "river", "capital", "king", "film", "song", "war", "city", "state")
# Runs before the page's own script; notes when the table says that it is ready.
_WATCH = """
new MutationObserver(() => {
  if (document.documentElement.dataset.ready) window.usable ??= performance.now();
}).observe(document, {attributes: true, subtree: true, attributeFilter: ["data-ready"]});
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=4, help="of a prediction")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="its path")
    arguments = parser.parse_args()
    start = time.perf_counter()
    analysis = analyze(_predictions(arguments.rows, arguments.words))
    analysed = time.perf_counter()
    document = render_html(analysis)
    rendered = time.perf_counter()
    print(f"{arguments.rows:,} rows: analysed in {analysed - start:.1f} s, ", end="")
    print(f"rendered in {rendered - analysed:.1f} s, {len(document) / 1e6:.1f} MB; ", end="")
    mine, workers = (
        resource.getrusage(who).ru_maxrss / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peak memory {mine:.2f} GB, of the largest worker {workers:.2f} GB")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = pathlib.Path(folder, "report.html")
        path.write_text(document, encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=arguments.chromium, args=["--no-sandbox"]
        )
        times = [_open(browser, path) for _ in range(arguments.rounds)]
        browser.close()
    print(f"usable after {statistics.median(times):.2f} s (median of {len(times)}; ", end="")
    print(f"{min(times):.2f} to {max(times):.2f} s)")


def _predictions(rows: int, words: int) -> list[Prediction]:
    drawn = random.Random(0)

    def text(count: int) -> str:
        return " ".join(drawn.choices(_WORDS, k=count))

    return [
        Prediction(
            id=number,
            question=f"{text(9)} {number}",
            answers=[text(3) for _ in range(3)],
            prediction=text(words),
            score=-drawn.random(),
        )
        for number in range(rows)
    ]


def _open(browser: Browser, path: pathlib.Path) -> float:
    """Seconds until the table is usable."""
    page = browser.new_page()
    page.add_init_script(_WATCH)
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    milliseconds = page.evaluate("window.usable")
    page.close()
    return milliseconds / 1000


if __name__ == "__main__":
    main()
