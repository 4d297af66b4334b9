"""What a token cache is found by: all that its tokens were made from.

Task and version, split, vocabulary, the hashes of local files, and for tasks of other packages the
lengths and the seed, since their preprocessors may depend on them. (Of such tasks the code is not
part of the key: after a change of it delete the cache.)
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, TypedDict

from closedbook.errors import UserError
from closedbook.tasks import specs
from closedbook.vocabulary.protocol import AnyVocabulary

_NAMES = 1  # raise it when the same key stands for other tokens

Key = dict[str, Any]
"""JSON-able; the same tokens have the same key in every version of closedbook."""


class Settings(TypedDict):
    """What a run may choose, beside the task, about how its examples are made."""

    lengths: Mapping[str, int] | None
    data_dir: str | os.PathLike | None
    use_seqio_cached: bool
    num_examples: int | None
    seed: int


def cache_key(task_name: str, split: str, vocabulary: AnyVocabulary, settings: Settings) -> Key:
    """The key of a split's cache.

    Raises:
        UserError: A packaged or own task has no such split, its local files are missing, or it
            needs lengths and has none.
    """
    spec = specs.SPECS.get(task_name)
    if spec is not None and split not in spec.splits:
        raise UserError(f"task {task_name} has no split {split!r}; it has {', '.join(spec.splits)}")
    key: Key = {
        "task": task_name,
        "split": split,
        "vocabulary": {"sha256": vocabulary.sha256, "extra_ids": vocabulary.extra_ids},
        "source": _source(spec, split, settings["data_dir"], settings["use_seqio_cached"]),
        "num_examples": settings["num_examples"],
    }
    if depends_on_lengths(spec):
        if spec is not None and not settings["lengths"]:
            raise UserError(f"{task_name} fills rows: give the lengths of inputs and targets")
        key |= {"lengths": dict(sorted((settings["lengths"] or {}).items()))}
    if spec is None:
        key |= {"seed": settings["seed"]}
    return key


def folder_name(key: Key) -> str:
    """The name of the folder that holds the cache of a key."""
    digest = hashlib.sha256(json.dumps([_NAMES, key], sort_keys=True).encode()).hexdigest()
    return f"{key['task'].replace(':', '_')}-{key['split']}-{digest[:16]}"


def depends_on_lengths(spec: specs.TaskSpec | None) -> bool:
    """Whether a task's tokens depend on the lengths of inputs and targets.

    Those of T5's span corruption do, whose rows fill the lengths. Another package's preprocessors
    (`spec` is None) may use them or not, so that they count as if they did.
    """
    return spec is None or (spec.masking is not None and spec.masking.corruption == "t5")


def _source(
    spec: specs.TaskSpec | None,
    split: str,
    data_dir: str | os.PathLike | None,
    use_seqio_cached: bool,
) -> dict[str, Any]:
    """What the examples come from."""
    if spec is None:
        return {"seqio": "cached" if use_seqio_cached else "task"}
    masking = {"masking": dataclasses.asdict(spec.masking)} if spec.masking else {}
    if use_seqio_cached:
        return {"seqio": "cached"} | masking
    task = {"version": spec.version, "prefix": spec.prefix, "random": spec.random_answer}
    try:
        source = spec.source.at(data_dir).fingerprint(split)
    except UserError as error:
        raise UserError(f"task {spec.name}: {error}") from error
    return task | masking | source
