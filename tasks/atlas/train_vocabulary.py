"""Makes the atlas's SentencePiece vocabulary.

`python -m closedbook.tasks.atlas.train_vocabulary` writes `data/atlas.model` and adds its
sha256 to `data/MANIFEST.json`. How: `word_vocabulary`.
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Iterator

from closedbook.tasks import word_vocabulary
from closedbook.tasks.atlas import DATA, VOCABULARY, corpus
from closedbook.tasks.atlas.phrasings import phrasings, render

SUBWORDS = 1500  # trained pieces, for words that the atlas's text does not have


def text() -> Iterator[str]:
    """Sentences and questions of every fact, in both cases of a question's first letter.

    Question templates count once per relation and not once per fact, lest their few words drown
    the names. The words of unseen phrasings are in, since a word without a piece is spelt out.
    """
    for sentence in corpus.sentences():
        yield sentence.text
    first: dict[str, corpus.Fact] = {}
    for fact in corpus.facts():
        first.setdefault(fact.relation, fact)
        yield from fact.answers
        yield fact.subject
    for relation, fact in first.items():
        rows = phrasings()[relation]
        for template in (*rows.seen, *rows.unseen):
            question, _ = render(template, fact.subject, fact.object)
            for _ in range(20):
                yield question
                yield question[0].lower() + question[1:]


def main() -> None:
    """Writes the model and records its hash."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=DATA, help="folder of the tables")
    options = parser.parse_args()
    model = word_vocabulary.train(text(), subwords=SUBWORDS)
    (options.out / VOCABULARY.name).write_bytes(model)
    manifest_file = options.out / "MANIFEST.json"
    manifest = json.loads(manifest_file.read_text("utf-8"))
    manifest["sentencepiece"] = importlib.metadata.version("sentencepiece")
    manifest["sha256"][VOCABULARY.name] = hashlib.sha256(model).hexdigest()
    manifest_file.write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
