"""File formats of arrays: safetensors, torch, msgpack, zarr, Orbax; knows no model."""
