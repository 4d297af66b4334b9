"""What a token cache was built from, so that other data or options give another cache."""

import dataclasses
import pathlib
from typing import Any

from closedbook.tasks import local_files, own_files, specs
from closedbook.tasks.spans import own_sentences as span_files
from closedbook.tasks.spans import sentence_files


def cache_source(
    spec: specs.TaskSpec | None, split: str, data_dir: Any, use_seqio_cached: bool
) -> dict[str, Any]:
    """What the examples come from, so that another source gives another cache."""
    if spec is None:
        return {"seqio": "cached" if use_seqio_cached else "task"}
    masking = {"masking": dataclasses.asdict(spec.masking)} if spec.masking else {}
    if use_seqio_cached:
        return {"seqio": "cached"} | masking
    version = {"version": spec.version, "prefix": spec.prefix, "random": spec.random_answer}
    version |= masking
    if masking and not spec.options:
        folder = span_files.folder(spec, data_dir)
        if folder is not None:
            return version | {"sentences": _shards(folder)}
    if spec.files:
        return version | {"files": local_files.fingerprint([own_files.split_file(spec, split)])}
    if spec.options:
        return version | {"atlas": local_files.fingerprint(_atlas_files())}
    if data_dir is not None and not masking:
        return version | {
            "files": local_files.fingerprint(local_files.split_files(spec, split, data_dir)),
            "parts": spec.local_splits[split],
        }
    return version | {"tfds": spec.tfds, "split": spec.tfds_splits.get(split)}


def _shards(folder: pathlib.Path) -> dict[str, Any]:
    """The manifest, which has the shards' contents from its inputs, and the shards' sizes."""
    return {
        "manifest": local_files.fingerprint([folder / sentence_files.MANIFEST])[0]["sha256"],
        "shards": [[p.name, p.stat().st_size] for p in sentence_files.shard_paths(folder)],
    }


def _atlas_files() -> list[pathlib.Path]:
    folder = pathlib.Path(specs.__file__).parent / "atlas"
    code = [path for path in folder.glob("*.py") if path.is_file()]
    data = [path for path in (folder / "data").glob("*") if path.is_file()]
    return sorted([*code, *data])
