"""GGUF files of the Llama block as if they were folders of Hugging Face."""

from closedbook.checkpoints.gguf.llama import LlamaModel, open_gguf, to_hugging_face

__all__ = ["LlamaModel", "open_gguf", "to_hugging_face"]
