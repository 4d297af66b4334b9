"""Any sequence-classification model of `transformers` as a judge of equivalence.

The pair (prediction, acceptable answer) goes in, as in Semantic Answer Similarity (Risch et al.
2021), and the best answer counts. What comes out is read by the number of labels: one is a
similarity, squashed by a sigmoid unless the model's problem type is regression (then it is taken as
it is); of several the one that says "the same" counts.
"""

import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

from closedbook.errors import UserError
from closedbook.eval.summary import Answered

if TYPE_CHECKING:
    import transformers

_SAME = ("equivalent", "entailment", "paraphrase", "duplicate", "same", "true", "yes", "label_1")
"""Names of the label that says so, in lower case; LABEL_1 is transformers' own of two labels."""
_BATCH = 64  # pairs
_LONGEST = 256  # tokens of a pair
_CHARACTERS = 2_000  # of a text; what is longer is cut before it is tokenised


class Loaded(TypedDict):
    """What `closedbook.eval.equivalence.judges.Scored` takes beside a name."""

    probabilities: Callable[[Sequence[Answered]], list[float]]
    version: str | None


def load(model: str) -> Loaded:
    """A model's probabilities, as a judge needs them.

    Args:
        model: A folder, or the name of a model in Hugging Face's local cache. Nothing is fetched.

    Raises:
        UserError: `transformers` is not installed, there is no such model, or none of its labels
            says that two texts are the same.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise UserError(
            f"the judge cross-encoder:{model} needs {error.name}; install closedbook[interop]"
        ) from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
        network = transformers.AutoModelForSequenceClassification.from_pretrained(
            model, local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"cannot load the cross-encoder {model}: {str(error).splitlines()[0]}; give a folder "
            "with a sequence-classification model and its tokenizer; nothing is downloaded"
        ) from error
    network.eval()
    same = _label(model, network.config)
    # Some models count their positions from 2 on.
    positions = getattr(network.config, "max_position_embeddings", _LONGEST + 2) - 2
    longest = min(_LONGEST, tokenizer.model_max_length, positions)

    def probabilities(rows: Sequence[Answered]) -> list[float]:
        pairs = [
            (row.prediction[:_CHARACTERS], answer[:_CHARACTERS])
            for row in rows
            for answer in row.answers
        ]
        # Of like lengths together, so that little is padding.
        order = sorted(range(len(pairs)), key=lambda place: sum(map(len, pairs[place])))
        scores = [0.0] * len(pairs)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            first, second = zip(*[pairs[place] for place in chosen], strict=True)
            tokens = tokenizer(
                list(first),
                list(second),
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = network(**tokens).logits.float()
            if same is None:
                column = logits[:, 0]
                regression = network.config.problem_type == "regression"
                found = column.clamp(0, 1) if regression else column.sigmoid()
            else:
                found = logits.softmax(-1)[:, same]
            for place, score in zip(chosen, found.tolist(), strict=True):
                scores[place] = score
        rest = iter(scores)
        return [max(next(rest) for _ in row.answers) for row in rows]

    return {"probabilities": probabilities, "version": _version(model)}


def _label(model: str, config: "transformers.PretrainedConfig") -> int | None:
    """The number of the label that says "the same"; None for a single score."""
    if config.num_labels == 1:
        return None
    names = {str(name).lower(): int(number) for number, name in (config.id2label or {}).items()}
    for name in _SAME:
        if name in names and (name != "label_1" or len(names) == 2):
            return names[name]
    raise UserError(
        f"the cross-encoder {model} has the labels {', '.join(sorted(names))}; name the one that "
        f"says that two texts are the same {_SAME[0]!r} in id2label of its config.json"
    )


def _version(model: str) -> str | None:
    """The start of the SHA-256 of a folder's weights; None for a name in the cache."""
    files = sorted(pathlib.Path(model).glob("*.safetensors"))
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
