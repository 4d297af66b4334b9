"""How many parameters a model has, its embeddings apart.

A matrix with a row or a column per piece of the vocabulary holds what pieces are, grows with the
vocabulary and not with the network, and is used a row at a time; so do vectors of positions. Bits
are given per parameter of the rest and of the whole.
"""

import dataclasses
import math

import jax

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.torch_folders import TorchModel
from closedbook.models.parameters import Params, unboxed

# In the names of our parameters, and of Hugging Face's masked models.
_EMBEDDINGS = ("token_embedder", "position_embedder", "logits_dense", "embeddings.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """How many parameters there are.

    Attributes:
        embeddings: Of pieces and positions, and the output matrix where it is another.
        others: All the rest: attention, feed-forward units, norms, relative positions.
    """

    embeddings: int
    others: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.embeddings + self.others


def parameters_of(model: LoadedModel | TorchModel) -> Parameters:
    """The parameters of a model; what is shared counts once."""
    if isinstance(model, TorchModel):
        named = {name: value.numel() for name, value in model.network.named_parameters()}
        return _counted(named)
    return count(model.params)


def count(params: Params) -> Parameters:
    """Those of a network of ours, arrays or their shapes."""
    leaves = jax.tree_util.tree_leaves_with_path(unboxed(params))
    return _counted({jax.tree_util.keystr(path): math.prod(x.shape) for path, x in leaves})


def _counted(sizes: dict[str, int]) -> Parameters:
    embeddings = sum(n for name, n in sizes.items() if any(each in name for each in _EMBEDDINGS))
    return Parameters(embeddings=embeddings, others=sum(sizes.values()) - embeddings)
