"""T5X's files and modules: which are covered, and what is said of those that are not."""

_NOT_TRAINED = (
    "closedbook trains T5 models under T5X's names t5x/examples/t5/..., not {what}; {instead}"
)
_LAYERS = "take the file of t5x/examples/t5/, with network.T5Config.scan_layers = True"
_ELSEWHERE = {
    "contrib/moe": ("mixtures of experts", "take a dense model's file"),
    "contrib/calm": ("models that stop early", "take a dense model's file"),
    "examples/scalable_t5": ("the network of scalable_t5", _LAYERS),
    "examples/decoder_only": (
        "decoder-only models",
        "take models/lm.gin or one of its kind (docs/language_models.md)",
    ),
    "examples/unified_io": ("images", "take the file of t5x/examples/t5/"),
}
_EXPORT = (
    "closedbook exports no TensorFlow model ({name}); `closedbook convert` writes a checkpoint for "
    "T5X or transformers"
)
_TF_EXAMPLES = (
    "closedbook reads no files of tf.train.Example ({name}); write the inputs as JSON lines and "
    "name them in tasks.qa_from_files.files (docs/your_questions.md)"
)
_FILES = {
    "export.gin": _EXPORT,
    "export_seqio.gin": _EXPORT,
    "infer_from_tfexample_file.gin": _TF_EXAMPLES,
}
_MODULES = {"t5x.export": _EXPORT, "t5x.export_lib": _EXPORT}


def refused_file(path: str) -> str | None:
    """The message for a file of T5X's that is for what closedbook does not do; else None."""
    inside = "/" + path.replace("\\", "/")
    for folder, (what, instead) in _ELSEWHERE.items():
        if f"/t5x/{folder}/" in inside:
            return f"{path}: " + _NOT_TRAINED.format(what=what, instead=instead)
    folder, _, name = inside.rpartition("/")
    if folder.endswith("/configs/runs") and "/t5x/" in inside and name in _FILES:
        return _FILES[name].format(name=path)
    return None


def refused_module(module: str) -> str | None:
    """The message for a module of T5X's that is for what closedbook does not do; else None."""
    if module in _MODULES:
        return _MODULES[module].format(name=module)
    for folder, (what, instead) in _ELSEWHERE.items():
        if module.startswith(f"t5x.{folder.replace('/', '.')}"):
            return f"import {module}: " + _NOT_TRAINED.format(what=what, instead=instead)
    return None


def refused_import(what: str) -> str:
    """The message for an import of a file where --no_imports is given.

    Args:
        what: Such as "import my_tasks".
    """
    return (
        f"{what} is refused by --no_imports, as it runs that module's code; take it out, or leave "
        "--no_imports out if you trust the file"
    )


_OWN_MODULES = {
    "adafactor",
    "checkpoints",
    "config_utils",
    "decoding",
    "eval",
    "gin_utils",
    "infer",
    "losses",
    "main",
    "metrics",
    "models",
    "optimizers",
    "partitioning",
    "precompile",
    "state_utils",
    "train",
    "train_state",
    "trainer",
    "utils",
    "examples.t5.network",
    "contrib.gpu.t5.network",
}
_OTHERS = {"seqio", "optax", "jax", "flax", "flaxformer", "numpy"}


def is_covered(module: str) -> bool:
    """Whether the names that files take from a module are registered here."""
    top, _, inside = module.partition(".")
    return (top == "t5x" and (not inside or inside in _OWN_MODULES)) or top in _OTHERS
