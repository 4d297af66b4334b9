"""Makes the atlas's SentencePiece vocabulary.

`python -m closedbook.tasks.atlas.train_vocabulary` writes `data/atlas.model` and adds its
sha256 to `data/MANIFEST.json`. T5's layout: pad 0, end 1, unknown 2, no start; SeqIO appends
its 100 extra ids, so none are inside. Rare characters fall back to bytes.

SentencePiece's unigram trainer prunes by likelihood and would spell out many names in a text
as small as this one; a name in one piece is what a small model learns best. So the trained
subword pieces serve the words of the outside world, and every word of the atlas's own text is
added as a piece with its log-frequency.
"""

import argparse
import collections
import hashlib
import importlib.metadata
import io
import json
import math
import pathlib
import unicodedata
from collections.abc import Iterator

from closedbook.tasks.atlas import corpus
from closedbook.tasks.atlas.phrasings import phrasings, render

DATA = pathlib.Path(__file__).parent / "data"
VOCABULARY_FILE = DATA / "atlas.model"
SUBWORDS = 1500  # trained pieces, for words that the atlas's text does not have
_EDGES = ".,?!;:"


def text() -> Iterator[str]:
    """Sentences and questions of every fact, in both cases of a question's first letter.

    Question templates count once a relation and not once a fact, lest their few words drown
    the names; the words of unseen phrasings are in, since a word without a piece is spelt out.
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


def train() -> bytes:
    """The serialised SentencePiece model; the same text gives the same bytes."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    lines = list(text())
    subwords = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=subwords,
        model_type="unigram",
        vocab_size=SUBWORDS,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,  # the order of additions decides the last digits
        shuffle_input_sentence=False,
        minloglevel=2,
    )
    model = sentencepiece_model_pb2.ModelProto.FromString(  # type: ignore[attr-defined]
        subwords.getvalue()
    )
    counts = collections.Counter(
        "\u2581" + word.strip(_EDGES) if word[0] != "." else "\u2581" + word.rstrip(_EDGES)
        for line in lines
        for word in unicodedata.normalize("NFKC", line).split()
        if word.strip(_EDGES)
    )
    known = {piece.piece for piece in model.pieces}
    total = sum(counts.values())
    for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if word not in known and count >= 3:
            model.pieces.add(piece=word, score=math.log(count / total))
    model.trainer_spec.vocab_size = len(model.pieces)
    return model.SerializeToString(deterministic=True)


def main() -> None:
    """Writes the model and records its hash."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=DATA, help="folder of the tables")
    options = parser.parse_args()
    model = train()
    (options.out / VOCABULARY_FILE.name).write_bytes(model)
    manifest_file = options.out / "MANIFEST.json"
    manifest = json.loads(manifest_file.read_text("utf-8"))
    manifest["sentencepiece"] = importlib.metadata.version("sentencepiece")
    manifest["sha256"][VOCABULARY_FILE.name] = hashlib.sha256(model).hexdigest()
    manifest_file.write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
