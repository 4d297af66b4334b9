"""Models of the Hugging Face hub: hf://ORGANISATION/NAME, downloaded once."""

import pathlib
import re
import urllib.parse

from closedbook.checkpoints.places import other_files
from closedbook.errors import UserError

HUB = "hf://"
_SMALL_FILES = (
    *("config.json", "generation_config.json", "*.index.json", "adapter_config.json"),
    *("spiece.model", "sentencepiece.model", "vocabulary.model"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model"),
)
_SAFETENSORS = ("*.safetensors",)
_TORCH = ("pytorch_model*.bin",)
_HUB_NAME = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
_REVISION = re.compile(r"^(refs/(?:pr/\d+|convert/[\w.-]+)|[^/]+)(?:/(.*))?$")


def snapshot(url: str) -> pathlib.Path:
    """A local copy of a model of the hub, in the hub's own cache.

    Args:
        url: "hf://ORGANISATION/NAME[@REVISION][/FOLDER]".

    Raises:
        UserError: As for `remote.fetch`.
    """
    name, revision, folder = _parse(url)
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            f"{url} needs huggingface_hub: pip install 'closedbook[huggingface]', or give the path "
            "of a downloaded folder"
        ) from error
    prefix = f"{folder}/" if folder else ""

    def download(*patterns: str) -> pathlib.Path:
        found = huggingface_hub.snapshot_download(
            name,
            revision=revision,
            allow_patterns=[prefix + pattern for pattern in patterns],
            ignore_patterns=[f"{prefix}*/*"],  # "*" matches "/" too
        )
        return pathlib.Path(found) / folder

    try:
        # Without network the first call finds what there is; the second one then fetches nothing.
        path = download(*_SMALL_FILES, *_SAFETENSORS)
        if not any(path.glob("*.safetensors")):
            path = download(*_SMALL_FILES, *_TORCH)
    except Exception as error:  # the classes of its HTTP client differ from version to version
        raise _refusal(url, name, revision, error) from error
    if not any(path.glob("*.safetensors")) and not any(path.glob("pytorch_model*.bin")):
        if reason := other_files.other_weights(_names(name, revision, prefix)):
            raise UserError(f"{url} {reason}")
        there = ", ".join(sorted(each.name for each in path.glob("*"))) or "nothing"
        raise UserError(
            f"{url} has neither safetensors nor pytorch_model.bin files (of those that closedbook "
            f"looks for: {there}), or they were not all downloaded before the network went away"
        )
    return path


def _names(name: str, revision: str | None, prefix: str) -> list[str]:
    """Files in a repository's folder, and folders with a slash; none where the hub is silent."""
    import huggingface_hub

    try:
        files = huggingface_hub.list_repo_files(name, revision=revision)
    except Exception:  # the classes of its HTTP client differ from version to version
        return []
    inside = (file.removeprefix(prefix) for file in files if file.startswith(prefix))
    heads = (file.partition("/") for file in inside)
    return sorted({head + slash for head, slash, _ in heads})


def _parse(url: str) -> tuple[str, str | None, str]:
    """Repository, revision and folder of "hf://ORGANISATION/NAME[@REVISION][/FOLDER]".

    >>> _parse("hf://google/t5-small-ssm-nq")
    ('google/t5-small-ssm-nq', None, '')
    >>> _parse("hf://me/models@v1.0/large/best")
    ('me/models', 'v1.0', 'large/best')
    >>> _parse("hf://me/model@refs/pr/3")
    ('me/model', 'refs/pr/3', '')
    """
    before, at, after = url[len(HUB) :].strip("/").partition("@")
    parts = before.split("/")
    name, folder, revision = "/".join(parts[:2]), "/".join(parts[2:]), None
    if at:
        match = None if folder else _REVISION.match(after)
        if not match:
            name = ""
        else:
            revision, folder = urllib.parse.unquote(match[1]), match[2] or ""
    inside = folder.split("/") if folder else []
    if not _HUB_NAME.match(name) or any(part in ("", ".", "..") for part in inside):
        raise UserError(
            f"{url!r} is no name of the Hugging Face hub; write hf://ORGANISATION/NAME, with "
            "@REVISION and /FOLDER after it if need be"
        )
    return name, revision, folder


def _refusal(url: str, name: str, revision: str | None, error: Exception) -> UserError:
    from huggingface_hub import errors

    detail = " ".join(str(error).split())[:300]
    kinds: list[tuple[type[Exception], str]] = [
        (
            errors.GatedRepoError,
            f"is gated: accept its terms at https://huggingface.co/{name} and log in with "
            "`hf auth login`, or set HF_TOKEN",
        ),
        (
            errors.RepositoryNotFoundError,
            "does not exist, or is private: check the name, or log in with `hf auth login` or "
            "HF_TOKEN",
        ),
        (errors.RevisionNotFoundError, f"has no revision {revision!r}"),
        (
            errors.LocalEntryNotFoundError,
            "is not in the local cache, and the hub was not asked or did not answer: check the "
            f"network, HF_HUB_OFFLINE and HF_HOME ({detail})",
        ),
        (errors.HFValidationError, f"is no name of the Hugging Face hub: {detail}"),
        (OSError, f"cannot be downloaded: {detail}; check the network and the disk"),
    ]
    for kind, text in kinds:
        if isinstance(error, kind):
            return UserError(f"{url} {text}")
    return UserError(
        f"{url} cannot be downloaded: {type(error).__name__}: {detail}; check the network and the "
        "proxy, then start again"
    )
