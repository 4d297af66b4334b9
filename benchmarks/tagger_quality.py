"""Quality and yield of taggers on WikiText-2: the tables of docs/taggers.md.

Precision and recall against the hand-written expectations, and spans a sentence by label over the
whole of valid.txt and test.txt.

    python benchmarks/tagger_quality.py --text FOLDER [--tagger dates --tagger spacy]
"""

import argparse
import collections
import hashlib
import json
import pathlib
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from closedbook.corpora import sentence_splitting
from closedbook.corpora.taggers import CharSpan, Tagger, load
from closedbook.errors import UserError
from closedbook.eval.intervals import wilson

FILES = ("valid.txt", "test.txt")
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/corpora/taggers"
EXPECTATIONS = FOLDER / "wikitext_expectations.jsonl"  # 200 sentences, every label
DATED = FOLDER / "wikitext_dated_expectations.jsonl"  # 100 with a digit: dates and numbers alone


class Expected(NamedTuple):
    """A sentence and what a reader wrote down of it."""

    text: str
    spans: frozenset[CharSpan]


class Counts(NamedTuple):
    """Right and all spans of one label; a span is right with the same ends and label."""

    right: int
    found: int
    expected: int
    characters_right: int  # of found spans, inside expected spans of the label
    characters_found: int


def expectations(folder: pathlib.Path, file: pathlib.Path = EXPECTATIONS) -> list[Expected]:
    """The sentences of the expectations, out of WikiText-2's files.

    A sentence is kept as file, line, and part of the line between " . "; never as text.

    Raises:
        UserError: A sentence is not the one that the expectations were written for.
    """
    lines = {name: (folder / name).read_text("utf-8").split("\n") for name in FILES}
    found = []
    for row in map(json.loads, file.read_text("utf-8").splitlines()):
        line = "".join(lines[row["file"]][row["line"] - 1 : row["line"]]).strip()
        # Every part but the last ends in the full stop that it was cut at.
        parts = line.replace(" . ", " .\n").split("\n")
        text = "".join(parts[row["part"] : row["part"] + 1])
        if hashlib.sha256(text.encode()).hexdigest()[:16] != row["sha256"]:
            place = f"{folder / row['file']}, line {row['line']}"
            raise UserError(f"{place}: not the text of WikiText-2 that the expectations are of")
        spans = [CharSpan(at, at + len(words), label) for at, words, label in row["spans"]]
        found.append(Expected(text, frozenset(spans)))
    return found


def score(tagger: Tagger, expected: Sequence[Expected]) -> dict[str, Counts]:
    """Counts by label, for labels that the expectations have."""
    found = tagger.tag([sentence.text for sentence in expected])
    labels = sorted({span.label for sentence in expected for span in sentence.spans})
    return {label: _count(label, expected, found) for label in labels}


def _count(label: str, expected: Sequence[Expected], found: Sequence[Sequence[CharSpan]]) -> Counts:
    total = Counts(0, 0, 0, 0, 0)
    for sentence, spans in zip(expected, found, strict=True):
        wanted = {span for span in sentence.spans if span.label == label}
        given = {span for span in spans if span.label == label}
        right, covered = _characters(wanted), _characters(given)
        new = (len(wanted & given), len(given), len(wanted), len(right & covered), len(covered))
        total = Counts(*(old + more for old, more in zip(total, new, strict=True)))
    return total


def _characters(spans: Iterable[CharSpan]) -> set[int]:
    return {at for span in spans for at in range(span.start, span.limit)}


def share(part: int, whole: int) -> str:
    """A proportion with its 95% interval, as the page writes it."""
    if not whole:
        return "none"
    low, high = wilson(part, whole)
    return f"{100 * part / whole:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def sentences(folder: pathlib.Path) -> list[str]:
    """All sentences of the two files, headings left out."""
    return [
        sentence
        for name in FILES
        for paragraph in sentence_splitting.paragraphs((folder / name).read_text("utf-8"))
        for sentence in sentence_splitting.split(paragraph)
    ]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=pathlib.Path, required=True, help="WikiText-2's folder")
    parser.add_argument("--tagger", action="append", help="as for `closedbook ssm build`")
    options = parser.parse_args()
    for file in (EXPECTATIONS, DATED):
        expected = expectations(options.text, file)
        print(f"{len(expected)} sentences; precision and recall in % with 95% intervals\n")
        print("| label | expected | found | precision | recall | precision by characters |")
        print("|---|---|---|---|---|---|")
        for label, counts in score(load("dates"), expected).items():
            characters = f"{100 * counts.characters_right / max(1, counts.characters_found):.1f}"
            precision = share(counts.right, counts.found)
            recall = share(counts.right, counts.expected)
            cells = (label, counts.expected, counts.found, precision, recall, characters)
            print(f"| {' | '.join(map(str, cells))} |")
        print()
    every = sentences(options.text)
    size = sum(len(text.encode()) for text in every) / 1e6
    print(f"{len(every)} sentences, {size:.2f} MB\n")
    for name in options.tagger or ["dates", "spacy"]:
        tagger = load(name)
        start = time.process_time()
        spans = collections.Counter(
            span.label
            for at in range(0, len(every), 1024)
            for of_sentence in tagger.tag(every[at : at + 1024])
            for span in of_sentence
        )
        seconds = time.process_time() - start
        print(f"{tagger.name} ({tagger.version}): {size / seconds:.2f} MB/s of CPU time\n")
        print("| label | spans | a sentence |\n|---|---|---|")
        for label, count in (*spans.most_common(), ("all", spans.total())):
            print(f"| {label} | {count} | {count / len(every):.3f} |")
        print()


if __name__ == "__main__":
    main()
