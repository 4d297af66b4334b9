"""What a build counts, and the files that describe a finished folder."""

import dataclasses
import importlib.metadata
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from closedbook.tasks.spans.sentence_files import MANIFEST, SCHEMA

NAME = "salient_spans"
VERSION = "1.0.0"  # of the data's schema for TFDS
DATASET_INFO, FEATURES = "dataset_info.json", "features.json"
MOST_LISTED = 1_000  # skipped documents that manifest.json names, per unit of work and in all


@dataclasses.dataclass
class Counts:
    """Numbers that add up over parts of a corpus."""

    documents: int = 0  # read, without those skipped
    documents_skipped: int = 0
    text_bytes: int = 0  # UTF-8 of the documents read
    sentences: int = 0  # written
    sentences_without_spans: int = 0  # not written
    sentences_too_long: int = 0  # not written
    sentences_too_short: int = 0  # not written
    spans: Counter[str] = dataclasses.field(default_factory=Counter)  # written, by label
    spans_dropped: Counter[str] = dataclasses.field(default_factory=Counter)  # by reason

    def add(self, other: "Counts") -> None:
        """Adds another part's numbers to these."""
        for field in dataclasses.fields(self):
            mine, others = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, Counter):
                mine.update(others)
            else:
                setattr(self, field.name, mine + others)

    def as_json(self) -> dict[str, Any]:
        """As manifest.json has them: labels by falling number."""
        return {
            name: dict(sorted(value.items(), key=lambda item: (-item[1], item[0])))
            if isinstance(value, Counter)
            else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_json`; raises KeyError if a number is missing."""
        found: dict[str, Any] = {
            field.name: values[field.name] for field in dataclasses.fields(cls)
        }
        for name in ("spans", "spans_dropped"):
            found[name] = Counter(found[name])
        return cls(**found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A finished file of sentences."""

    file: str
    sentences: int
    record_bytes: int  # of its records, not compressed
    file_bytes: int
    sha256: str


def files(
    *,
    counts: Counts,
    shards: Sequence[Shard],
    file_format: str,
    tagger: str,
    tagger_version: str = "",
    settings: Mapping[str, Any] | None = None,
    inputs: Sequence[Mapping[str, Any]] = (),
    skipped: Sequence[Mapping[str, str]] = (),
) -> dict[str, str]:
    """The text of each file beside the shards, manifest.json last.

    Args:
        counts: Numbers of the whole corpus.
        shards: The shards in order.
        file_format: One of `records.SUFFIXES`.
        tagger: The name of what marked the spans.
        tagger_version: The tagger's version.
        settings: What the folder was built with, so that another build into it is noticed.
        inputs: `{"path", "bytes", "sha256"}` of every file read.
        skipped: `{"id", "reason"}` of documents.
    """
    written = {}
    # TFDS reads TFRecord files as they stand, gzip or not told by nothing: without these two files
    # it says that there is no data set, with them it would call compressed shards corrupt.
    if file_format != "tfrecord.gz":
        written[FEATURES] = _pretty(_FEATURES)
        written[DATASET_INFO] = _pretty(_dataset_info(shards, file_format, tagger))
    written[MANIFEST] = _pretty(
        {
            "schema": SCHEMA,
            "closedbook": importlib.metadata.version("closedbook"),
            "format": file_format,
            "tagger": {"name": tagger, "version": tagger_version},
            **counts.as_json(),
            "skipped": list(skipped[:MOST_LISTED]),
            "settings": dict(settings or {}),
            "inputs": [dict(each) for each in inputs],
            "shards": [dataclasses.asdict(shard) for shard in shards],
        }
    )
    return written


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _dataset_info(shards: Sequence[Shard], file_format: str, tagger: str) -> dict[str, Any]:
    return {
        "description": f"Sentences with salient spans, tagged by {tagger}.",
        "fileFormat": file_format,
        "moduleName": "tensorflow_datasets.core.dataset_builders.adhoc_builder",
        "name": NAME,
        "splits": [
            {
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "name": "train",
                "numBytes": str(sum(shard.record_bytes for shard in shards)),
                "shardLengths": [str(shard.sentences) for shard in shards],
            }
        ],
        "version": VERSION,
    }


_PACKAGE = "tensorflow_datasets.core.features"
_DICT, _TEXT = f"{_PACKAGE}.features_dict.FeaturesDict", f"{_PACKAGE}.text_feature.Text"


def _tensor(dtype: str) -> dict[str, Any]:
    tensor = {"dtype": dtype, "encoding": "none", "shape": {}}
    return {"pythonClassName": f"{_PACKAGE}.tensor_feature.Tensor", "tensor": tensor}


def _features_dict(**features: Mapping[str, object]) -> dict[str, Any]:
    return {"featuresDict": {"features": features}, "pythonClassName": _DICT}


# As TFDS 4.9 writes it for salient_span_wikipedia.
_FEATURES = _features_dict(
    spans={
        "pythonClassName": f"{_PACKAGE}.sequence_feature.Sequence",
        "sequence": {
            "feature": _features_dict(
                limit=_tensor("int32"), start=_tensor("int32"), type=_tensor("string")
            ),
            "length": "-1",
        },
    },
    text={"pythonClassName": _TEXT, "text": {}},
    title={"pythonClassName": _TEXT, "text": {}},
)
