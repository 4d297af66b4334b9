"""Which folders hold a masked language model, and how one is loaded."""

import pathlib

from closedbook.errors import UserError
from closedbook.knowledge import torch_folders
from closedbook.knowledge.torch_folders import TorchModel

# BERT's and ALBERT's of pretraining hold the same head beside another.
_KINDS = ("ForMaskedLM", "ForPreTraining")


def is_masked(folder: pathlib.Path) -> bool:
    """Whether config.json says that the model fills masks."""
    return any(name.endswith(_KINDS) for name in torch_folders.architectures(folder))


def load(folder: pathlib.Path) -> TorchModel:
    """The model of a folder.

    Raises:
        UserError: `transformers` is not installed, the folder cannot be read, or its vocabulary
            has no mask.
    """
    model = torch_folders.load(folder, "AutoModelForMaskedLM", "a masked language model")
    if model.tokenizer.mask_token_id is None:
        raise UserError(
            f"the tokenizer of {folder} names no mask_token; give its tokenizer_config.json too"
        )
    return model
