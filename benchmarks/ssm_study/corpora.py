"""The study's data: sentences with spans, questions, vocabularies, and tasks made of them."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import Any

from benchmarks.ssm_study import entity_questions
from benchmarks.ssm_study.plan import Plan
from closedbook import whole_files
from closedbook.corpora.shards import write_sentences
from closedbook.data.cache_lookup import token_cache
from closedbook.errors import UserError
from closedbook.tasks import (
    qa_from_files,
    span_corruption_from_files,
    ssm_from_files,
    word_vocabulary,
)
from closedbook.tasks.atlas import VOCABULARY
from closedbook.tasks.atlas import corpus as atlas
from closedbook.tasks.spans import sentence_files
from closedbook.tasks.spans.sentences import Sentence, Span
from closedbook.vocabulary import Vocabulary

_FEWEST = 5  # a word of one fact, five sentences, is a piece, as nearly all are in the atlas
_PASSES = 4  # different random masks; the study sees each sentence four to six times


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """One corpus as tasks: names of the pretraining tasks, and of the questions."""

    name: str
    vocabulary: pathlib.Path
    questions: str  # fine-tuned on, split "train"
    tests: dict[str, str]  # what is tested -> task, split "test"
    facts: int

    def pretraining(self, objective: str) -> str:
        """The task of an objective."""
        return f"study_{self.name}_{objective}"

    @property
    def rows(self) -> int:
        """Embeddings: the vocabulary's ids, rounded up."""
        return -(-Vocabulary(self.vocabulary).vocab_size // 128) * 128


def prepare(folder: pathlib.Path, plan: Plan, source: pathlib.Path | None) -> list[Corpus]:
    """Writes what is not there yet, and registers the tasks of both corpora.

    Args:
        folder: For the corpora.
        plan: Says how many facts.
        source: EntityQuestions; None leaves it out.
    """
    corpora = [_atlas(folder / "atlas")]
    if source is not None:
        corpora.append(_entity_questions(folder / "entity_questions", plan, source))
    for corpus in corpora:
        sentences = str(folder / corpus.name / "sentences")
        ssm_from_files({corpus.pretraining("ssm"): sentences}, style="sentinel_bare")
        span_corruption_from_files(
            {corpus.pretraining("span_corruption"): sentences},
            style="sentinel_bare",
            passes=_PASSES,
        )
    return corpora


def build_caches(corpora: Iterable[Corpus]) -> None:
    """Tokenises all tasks once, so that no cell needs TensorFlow."""
    for corpus in corpora:
        vocabulary = Vocabulary(corpus.vocabulary)
        for objective in ("ssm", "span_corruption"):
            token_cache(corpus.pretraining(objective), "train", vocabulary=vocabulary)
        token_cache(corpus.questions, "train", vocabulary=vocabulary)
        for task in corpus.tests.values():
            token_cache(task, "test", vocabulary=vocabulary)


def _atlas(folder: pathlib.Path) -> Corpus:
    _write_once(
        folder / "sentences",
        (
            Sentence(
                each.text,
                tuple(Span(span.byte_start, span.byte_limit, span.label) for span in each.spans),
                each.title,
            )
            for each in atlas.sentences()
        ),
    )
    return Corpus(
        name="atlas",
        vocabulary=VOCABULARY,
        questions="atlas_qa",
        tests={"phrasings seen": "atlas_qa_seen", "phrasings unseen": "atlas_qa_unseen"},
        facts=len(atlas.facts()),
    )


def _entity_questions(folder: pathlib.Path, plan: Plan, source: pathlib.Path) -> Corpus:
    vocabulary, facts_file = folder / "words.model", folder / "facts.json"
    files = {split: folder / f"{split}.jsonl" for split in ("train", "test", "never_asked")}
    if not facts_file.exists():  # the last that is written
        facts = entity_questions.triples(source, plan.facts_per_relation)
        sentences = list(entity_questions.sentences(facts))
        _write_once(folder / "sentences", sentences)
        for split, path in files.items():
            lines = [json.dumps(row) for row in entity_questions.questions(facts, split)]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = [sentence.text for sentence in sentences]
        text += [relation.question for relation in entity_questions.relations()] * _FEWEST
        vocabulary.write_bytes(word_vocabulary.train(text, subwords=plan.subwords, fewest=_FEWEST))
        keys = [[fact.relation.id, fact.subject, fact.object] for fact in facts]
        whole_files.write_text(facts_file, json.dumps(keys, ensure_ascii=False, indent=0))
    qa_from_files(
        {
            "study_entity_questions": {"train": files["train"], "test": files["test"]},
            "study_entity_questions_never_asked": {"test": files["never_asked"]},
        }
    )
    return Corpus(
        name="entity_questions",
        vocabulary=vocabulary,
        questions="study_entity_questions",
        tests={
            "relations asked": "study_entity_questions",
            "relations never asked": "study_entity_questions_never_asked",
        },
        facts=len(json.loads(facts_file.read_text(encoding="utf-8"))),
    )


def _write_once(folder: pathlib.Path, sentences: Iterable[Sentence]) -> dict[str, Any]:
    if (folder / sentence_files.MANIFEST).exists():
        return sentence_files.manifest(folder)
    if folder.exists():
        raise UserError(f"{folder} is not whole; remove it and run the study again")
    return write_sentences(folder, sentences)
