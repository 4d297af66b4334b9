"""Which settings of a run that was short of memory help, with the numbers of that run."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from closedbook.errors import UserError
from closedbook.memory import Shortage, shortage

# Options whose number is a share of the memory, by command; half of it is advised.
_HALVED = {
    "ask": ("beams", "alternatives"),
    "convert": ("max_shard_gb",),
    "trace": ("samples",),
    "edit-eval": ("edits",),
    "probe": ("limit",),
    "capacity": ("limit",),
    "edit": ("limit",),
    "ablate": ("draws", "facts"),
    "index": ("t",),
    "explain": ("many",),
    "report": ("positions",),
    "build": ("workers",),
}
_MORE = {
    "convert": "--optimizer drop leaves the optimiser's state out, if it is not needed",
    "analyze": "give the predictions in parts: --num-examples, or several files one by one",
}
_SMALLER = "a smaller --model"


def told(error: Exception, advice: Callable[[Shortage], list[str]]) -> UserError | None:
    """One message for a shortage of memory, with advice; None for any other error.

    Args:
        error: What has ended the run.
        advice: Makes of the shortage the settings that help, the best first.
    """
    found = shortage(error)
    if found is None:
        return None
    rows = "".join(f"\n- {each}" for each in advice(found))
    return UserError(f"{found.message()}{'; what helps:' if rows else ''}{rows}")


def advising(name: str, command: Callable[..., Any]) -> Callable[..., Any]:
    """A command of `closedbook` that says, short of memory, which of its options help.

    Args:
        name: Of the command.
        command: Its function; the parameters are the options.
    """

    @functools.wraps(command)
    def advised(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            message = told(error, lambda _: of_options(name, kwargs))
            if message is None:
                raise
            raise message from error

    return advised


def of_options(name: str, options: Mapping[str, Any]) -> list[str]:
    """What helps a command of `closedbook`.

    Args:
        name: Of the command.
        options: Its parameters.
    """
    advice = []
    for option in _HALVED.get(name, ()):
        value = options.get(option)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 1:
            half = value // 2 if isinstance(value, int) else value / 2
            advice.append(f"--{_flag(option)} {half} (it is {value})")
    if name in _MORE:
        advice.append(_MORE[name])
    if "model" in options:
        advice.append(_SMALLER)
    return advice


def _flag(option: str) -> str:
    """The word on the command line for a parameter whose name differs."""
    return {"many": "top"}.get(option, option.replace("_", "-"))


def of_run(mode: str, arguments: Mapping[str, Any], found: Shortage) -> list[str]:
    """What helps a run of `t5x`.

    Args:
        mode: "train", "eval" or "infer".
        arguments: Of the mode's function.
        found: What was short: parts of a batch are advised that should fit.
    """
    model, partitioner = arguments["model"], arguments.get("partitioner")
    cfg = arguments["train_dataset_cfg" if mode == "train" else "dataset_cfg"]
    ways = partitioner.mesh.shape["data"] if partitioner is not None else 1
    if found.lasting:
        advice, cfg = [], None
    elif mode == "train":
        advice = _of_training(model, arguments, ways, found)
    else:
        smaller = _smaller(cfg.batch_size, ways, found)
        advice = [f"BATCH_SIZE = {each} (it is {cfg.batch_size})" for each in smaller]
        evaluator = arguments.get("inference_evaluator")
        settings = getattr(evaluator, "decode", None) or model.decoding.settings
        if settings.num_beams > 1:
            advice.append(
                f"{settings.num_beams // 2} beams (there are {settings.num_beams}: "
                "decoding.beam_search.num_decodes, or decoding.DecodeSettings.num_beams)"
            )
    if cfg is not None and (lengths := dict(cfg.task_feature_lengths or {})):
        advice.append(f"shorter TASK_FEATURE_LENGTHS (they are {lengths})")
    if partitioner is not None and (devices := partitioner.mesh.size) > 1:
        advice.append(
            "partitioning.standard_logical_axis_rules.parameter_partitioning_dims = 2, or "
            f"partitioning.PjitPartitioner.num_partitions up to {devices}: the model over devices"
        )
    if found.on_device:
        advice.append(
            "XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 in the environment, on a GPU that is yours alone: "
            "JAX takes 0.75 of its memory"
        )
    return [*advice, f"a smaller model than this {model.config.title}"]


def _of_training(model: Any, arguments: Mapping[str, Any], ways: int, found: Shortage) -> list[str]:
    trainer, batch = arguments.get("trainer"), arguments["train_dataset_cfg"].batch_size
    parts = trainer.microbatches if trainer is not None else 1
    able = [n for n in range(parts + 1, batch + 1) if batch % n == 0 and (batch // n) % ways == 0]
    fitting = [n for n in able if n >= parts * found.times_too_large()]
    advice = [
        f"trainer.Trainer.num_microbatches = {n} (it is {parts}): {batch // n} of the {batch} rows "
        "at once, and the same training"
        for n in (fitting or able[-1:])[:1]
    ]
    kind, policy = type(model.config).__name__, model.config.remat_policy
    more = {"minimal": "'full'", "full": ""}.get(policy, "'minimal', or 'full'")
    if more:
        advice.append(
            f"network.{kind}.remat_policy = {more} (it is '{policy}'): less is kept, and more "
            "worked out twice"
        )
    smaller = _smaller(batch, ways, found)
    return advice + [f"BATCH_SIZE = {each} (it is {batch}): another training" for each in smaller]


def _smaller(batch: int, ways: int, found: Shortage) -> list[int]:
    """A smaller batch that splits over the devices and should fit, if there is one."""
    most = int(batch / max(found.times_too_large(), 2))
    powers = [ways * 2**n for n in range(max(most // ways, 1).bit_length())]
    return [each for each in powers[-1:] if each < batch]
