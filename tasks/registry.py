"""The packaged tasks and mixtures as SeqIO's own, under their published names."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import seqio
import tensorflow as tf

from closedbook.errors import UserError
from closedbook.eval import metrics
from closedbook.tasks import atlas, postprocessors, preprocessors, specs
from closedbook.tasks.seqio_sources import TaskSource
from closedbook.tasks.sources import Atlas, AtlasSentences, Texts
from closedbook.tasks.spans import examples as masked_examples
from closedbook.tasks.spans.masking import Masking
from closedbook.tasks.specs import MIXTURES, SPECS, TaskSpec, rates
from closedbook.vocabulary import EXTRA_IDS
from closedbook.vocabulary.text_bytes import BYTES

_POSTPROCESSORS = {
    "plain": postprocessors.answers,
    "answer_sets": postprocessors.answer_sets,
}
DEFAULT_VOCABULARY = "gs://t5-data/vocabs/cc_all.32000/sentencepiece.model"  # T5's and T5.1.1's


def register_all() -> None:
    """Adds all tasks and mixtures to SeqIO's registries; a second call adds nothing."""
    for spec in SPECS.values():
        register(spec)
    for name in MIXTURES:
        register_mixture(name)


def register_mixture(name: str, *, replace: bool = False) -> None:
    """Adds one mixture to SeqIO's registry; its tasks must be there."""
    if name in seqio.MixtureRegistry.names():
        if not replace:
            return
        seqio.MixtureRegistry.remove(name)
    tasks = [
        (task, seqio.mixing_rate_num_examples if rate is None else rate)
        for task, rate in rates(name).items()
    ]
    seqio.MixtureRegistry.add(name, tasks)


def register(spec: TaskSpec, *, replace: bool = False) -> None:
    """Adds one task to SeqIO's registry.

    Raises:
        UserError: Another package has registered a task of this name.
    """
    if spec.name in seqio.TaskRegistry.names():
        if isinstance(seqio.TaskRegistry.get(spec.name), _Task):
            if not replace:
                return
            seqio.TaskRegistry.remove(spec.name)
        else:
            raise UserError(
                f"another package has already registered a SeqIO task {spec.name!r}; import one "
                "of the two, or remove the other with seqio.TaskRegistry.remove"
            )
    seqio.TaskRegistry.add_provider(spec.name, build(spec))


def task(
    name: str,
    *,
    data_dir: str | os.PathLike | None = None,
    features: Mapping[str, seqio.Feature] | None = None,
) -> seqio.Task:
    """A registered task, or a copy of it with other files or another vocabulary.

    Args:
        name: A registered task, packaged or not.
        data_dir: A folder with the data set's own files, for packaged tasks.
        features: Output features with another vocabulary; see `output_features`.

    Raises:
        UserError: The task is unknown, or cannot be read from a folder.
    """
    if name in SPECS:
        register(SPECS[name])
    found: seqio.Task = seqio.TaskRegistry.get(name)
    changed: dict[str, Any] = {}
    if data_dir is not None and name in SPECS:
        changed["source"] = TaskSource(SPECS[name].source, os.fspath(data_dir))
    if features is not None:
        changed["output_features"] = features
    return found.replace(**changed) if changed else found


def output_features(path: str, extra_ids: int = EXTRA_IDS) -> dict[str, seqio.Feature]:
    """Inputs and targets over one SentencePiece model, or over bytes, each ending in EOS.

    The model file is opened at first use, so that registering tasks needs no network.
    """
    if path == BYTES:
        vocabulary = seqio.ByteVocabulary(extra_ids)
    else:
        vocabulary = seqio.SentencePieceVocabulary(path, extra_ids)
    return {
        "inputs": seqio.Feature(vocabulary=vocabulary, add_eos=True),
        "targets": seqio.Feature(vocabulary=vocabulary, add_eos=True),
    }


def masked_batches(
    task: seqio.Task, masking: Masking, split: str, sequence_length: Mapping[str, int] | None
) -> tf.data.Dataset:
    """All examples of a task that masks, a batch at a time; see `spans.examples.batches`."""
    return masked_examples.batches(
        task.source.chosen() if isinstance(task.source, TaskSource) else task.source,
        split,
        masking,
        output_features=task.output_features,
        sequence_length=sequence_length,
    )


class _Task(seqio.Task):
    """A task of this package, told from other packages' tasks by its type."""


def build(spec: TaskSpec) -> seqio.Task:
    """The SeqIO task of a description."""
    if isinstance(spec.source, Atlas | AtlasSentences):
        features = output_features(str(atlas.VOCABULARY))
    else:
        features = output_features(os.environ.get("CLOSEDBOOK_VOCABULARY", DEFAULT_VOCABULARY))
    return _Task(
        spec.name,
        source=TaskSource(spec.source),
        preprocessors=_preprocessors(spec),
        output_features={name: features[name] for name in spec.features},
        postprocess_fn=_POSTPROCESSORS[spec.postprocessor] if spec.metric else None,
        metric_fns=_metric_fns(spec),
    )


def _preprocessors(spec: TaskSpec) -> list[Callable]:
    if spec.masking is not None:
        return masked_examples.preprocessors(spec.masking)
    to_text: list[Callable]
    if isinstance(spec.source, Texts):
        to_text = [preprocessors.language_model]
    elif spec.non_null:
        to_text = [functools.partial(preprocessors.all_short_answers, prefix=spec.prefix)]
    else:
        to_text = [functools.partial(preprocessors.question_and_answers, prefix=spec.prefix)]
    tokenize, finish = seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim
    if spec.random_answer:  # not cached, so that each epoch samples anew
        return [*to_text, preprocessors.random_answer, tokenize, finish]
    return [*to_text, tokenize, seqio.CacheDatasetPlaceholder(), finish]


def _metric_fns(spec: TaskSpec) -> list[Callable]:
    if spec.metric is None:
        return []
    function = getattr(metrics, spec.metric)
    if spec.non_null:
        return [functools.partial(function, non_null_threshold=spec.non_null)]
    return [function]


def _heard(name: str) -> None:
    """Takes over a task or mixture that a user has added."""
    if name in SPECS:
        register(SPECS[name], replace=True)
    else:
        register_mixture(name, replace=True)


# At the end of the import, since importing this file may be what imports SeqIO.
register_all()
specs.subscribe(_heard)
