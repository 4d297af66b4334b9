"""Models to be probed, of any family: the one place that asks which."""

from typing import Any

from closedbook.errors import UserError
from closedbook.knowledge import torch_folders
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.loading import load_model
from closedbook.knowledge.probing.families import masked_models
from closedbook.knowledge.probing.families.masked_prompting import MaskedPrompting
from closedbook.knowledge.probing.families.masked_statements import MaskedStatements
from closedbook.knowledge.probing.families.protocol import AnyPrompting, Spelling
from closedbook.knowledge.probing.families.statement_prompting import StatementPrompting
from closedbook.knowledge.probing.prompts import Prompting, Way
from closedbook.knowledge.torch_folders import TorchModel


def open_model(
    path: str, *, vocabulary: str | None = None, extra_ids: int | None = None
) -> LoadedModel | TorchModel:
    """A model by its path: a masked language model, or what `load_model` knows.

    Args:
        path: As for `load_model`.
        vocabulary: As for `load_model`; masked language models have their own.
        extra_ids: Likewise.

    Raises:
        UserError: There is no such model, or it cannot be read.
    """
    folder = torch_folders.folder_of(path)
    if folder is None or not masked_models.is_masked(folder):
        return load_model(path, vocabulary=vocabulary, extra_ids=extra_ids)
    if vocabulary is not None or extra_ids is not None:
        raise UserError(
            f"{path} is a masked language model, whose tokenizer lies beside it; leave "
            "--vocabulary and --extra-ids out"
        )
    return masked_models.load(folder)


def prompting_of(model: LoadedModel | TorchModel, way: Way | None = None) -> AnyPrompting[Any]:
    """How facts are put to a model.

    Args:
        model: Of `open_model`.
        way: One of `WAYS`; default: as the model was trained.

    Raises:
        UserError: The way is none for the model.
    """
    if isinstance(model, TorchModel):
        if way == "sentence":
            return MaskedStatements.of(model)
        return MaskedPrompting.of(model, way)
    if way == "sentence" and model.config.continues_prompt:
        return StatementPrompting.of(model)
    return Prompting.of(model, way)


def spelling_of(model: LoadedModel | TorchModel) -> Spelling:
    """How a model's vocabulary writes candidates, however it is asked."""
    if isinstance(model, TorchModel):
        return MaskedPrompting.of(model)
    # Questions need no sentinels, which a vocabulary may lack.
    return Prompting.of(model, "continuation" if model.config.continues_prompt else "question")


def check_can(model: LoadedModel | TorchModel, way: str, *, hidden: bool, generate: bool) -> None:
    """Whether a model that is asked in a way can be looked into and answer by itself.

    Raises:
        UserError: It cannot do what is asked for.
    """
    if isinstance(model, TorchModel) and (hidden or generate):
        what = "--hidden reads states of T5, GPT-2 and Llama" if hidden else "it writes no answers"
        option = "--hidden" if hidden else "--generate"
        raise UserError(
            f"{model.folder} is a masked language model, and {what}; leave {option} out"
        )
    if way == "sentence" and (hidden or generate):
        option = "--hidden" if hidden else "--generate"
        raise UserError(
            f'the style "sentence" scores whole statements, not answers after a prompt; leave '
            f"{option} out, or use --style continuation"
        )
