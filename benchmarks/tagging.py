"""How fast `closedbook ssm build` turns text into tagged shards, beside the bare taggers.

    python benchmarks/tagging.py wiki.valid.tokens wiki.test.tokens

A build's whole work on one core (reading, hashing, splitting, tagging, encoding, compressing,
writing) and the tagger alone on the same sentences, in turn; with spaCy the other side is the
model's own `nlp.pipe`, with the components that find entities. Time is the process's own, since
other work on the machine slows a core; what starts once (models, patterns, Beam) is outside.
"""

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

from closedbook.corpora import documents, sentence_splitting, taggers, units, work
from closedbook.corpora.annotate import Limits


def sentences_of(plan: units.Plan) -> list[str]:
    """The sentences that a build tags."""
    return [
        sentence
        for unit in plan.units
        for part in unit.parts
        for document in documents.read(part, documents.Tally())
        if isinstance(document, documents.Document)
        for paragraph in sentence_splitting.paragraphs(document.text, wrapped=document.wrapped)
        for sentence in sentence_splitting.split(paragraph)
        if len(sentence) <= Limits().max_characters
    ]


def build(plan: units.Plan, tagger: taggers.Tagger) -> None:
    """What one worker does for a corpus."""
    with tempfile.TemporaryDirectory() as folder:
        job = work.Job(
            output=folder,
            settings="",
            tagger=tagger.name,
            file_format="array_record",
            shards=len(plan.units),
            limits=Limits(),
        )
        for unit in plan.units:
            work.build_shard(job, unit, tagger)
        work.hash_inputs(job, "inputs", [each.path for each in plan.inputs])


def bare_spacy(tagger: taggers.Tagger, sentences: Sequence[str]) -> None:
    """spaCy's own loop over the same texts, with the same model and batches."""
    from closedbook.corpora.taggers import spacy_tagger

    for doc in tagger._nlp.pipe(sentences, batch_size=spacy_tagger.BATCH_SENTENCES):
        for entity in doc.ents:
            _ = entity.label_


def compare(name: str, nbytes: int, rounds: int, sides: dict[str, Callable[[], None]]) -> None:
    """Prints MB of text a second of processor time: medians, and the ratio round by round."""
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            start = time.process_time()
            run()
            rates[side].append(nbytes / 1e6 / (time.process_time() - start))
    whole, bare = rates.values()
    ratios = [mine / other for mine, other in zip(whole, bare, strict=True)]
    for side, found in rates.items():
        print(
            f"{name:8} {side:24} {statistics.median(found):7.2f} MB/s  "
            f"({min(found):.2f} to {max(found):.2f})"
        )
    print(
        f"{name:8} {'ratio':24} {statistics.median(ratios):7.2f}       "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--spacy-mb", type=float, default=0.3, help="MB of text; 0: leave it out")
    arguments = parser.parse_args()
    text = b"".join(path.read_bytes() for path in arguments.files)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "text.txt"
        for name, size in (("dates", len(text)), ("spacy", int(arguments.spacy_mb * 1e6))):
            if not size:
                continue
            file.write_bytes(text[: text.rfind(b"\n", 0, size) + 1])
            plan = units.plan([str(file)], shard_bytes=1 << 30, input_format="text")
            tagger = taggers.load(name)
            tagger.tag(["Anna Smith was born in Zürich on 3 May 1990."])
            sentences = sentences_of(plan)

            def bare(name=name, tagger=tagger, sentences=sentences) -> None:
                bare_spacy(tagger, sentences) if name == "spacy" else tagger.tag(sentences)

            sides = {
                "whole build": lambda plan=plan, tagger=tagger: build(plan, tagger),
                "nlp.pipe alone" if name == "spacy" else "tagger alone": bare,
            }
            nbytes = file.stat().st_size
            print(f"{name}: {nbytes / 1e6:.1f} MB, {len(sentences):,} sentences")
            compare(name, nbytes, arguments.rounds if name == "dates" else 3, sides)


if __name__ == "__main__":
    main()
