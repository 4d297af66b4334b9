"""The checkpoint formats that closedbook reads, and those that it writes."""

import enum


class Format(enum.StrEnum):
    """A checkpoint's format; the value is what messages and `--to` call it."""

    CLOSEDBOOK = "closedbook"  # ours: Orbax folders `params`, `optimizer`, `run`, and model.json
    T5X = "t5x"  # native version 3: a msgpack file and a zarr folder for each array
    T5X_ORBAX = "t5x-orbax"  # T5X's default since 2023: Orbax, everything under `state`
    T5X_LEGACY = "t5x-legacy"  # before version 3: one msgpack file with all arrays
    MESH_TF = "mesh-tf"  # the published T5s: model.ckpt-N.index and .data files
    HUGGINGFACE = "huggingface"  # config.json with safetensors or pytorch_model.bin
    GGUF = "gguf"  # llama.cpp's: one file with tokenizer, parameters often quantised


WRITABLE = (Format.CLOSEDBOOK, Format.T5X, Format.T5X_ORBAX, Format.HUGGINGFACE)
