"""Words of T5X's command lines, whose flags are absl's, as our commands take them."""

from collections.abc import Sequence

from closedbook.errors import UserError, unknown_name

_GIN = "--gin."
# Modes of T5X, and what there is in their place.
_ELSEWHERE = {"export": "`closedbook convert` writes a checkpoint for T5X or transformers"}
# absl's own flags about its log, with and without a value. Ours goes to standard error already.
_LOG_SWITCHES = {"alsologtostderr", "logtostderr", "showprefixforinfo"}
_LOG_VALUES = {"v", "verbosity", "stderrthreshold", "log_dir", "logger_levels"}
_SWITCHES = {"dry_run", "multiprocess_gpu", "no_imports"}
_TRUE, _FALSE = {"true", "t", "1", "yes", "y"}, {"false", "f", "0", "no", "n"}


def rewritten(words: Sequence[str], modes: Sequence[str]) -> list[str]:
    """The words of a command line without what is absl's alone.

    `--gin.X=Y` becomes a binding, `--run_mode=train` the command, `--dry_run=true` and
    `--nodry_run` a switch that is given or not; flags of absl's log are left out.

    Args:
        words: After the command's name.
        modes: The commands that `--run_mode` may name.

    Raises:
        UserError: A mode is unknown, two are given, or a switch has no truth value.

    >>> rewritten(["--run_mode=train", "-alsologtostderr", "--v", "1", "--gin.A=2"], ["train"])
    ['train', '--gin_bindings=A=2']
    """
    kept: list[str] = []
    mode: str | None = None
    rest, before = iter(words), ""
    for word in rest:
        before, last = word, before
        if word.startswith(_GIN):
            kept.append(f"--gin_bindings={word[len(_GIN) :]}")
            continue
        if not word.startswith("-") or word == "--":
            if mode is not None or (kept and kept[0] in modes):
                _refuse_stray(word, last)
            kept.append(word)
            continue
        name, sign, value = word.lstrip("-").partition("=")
        plain = name.removeprefix("no")
        if plain in _LOG_SWITCHES:
            continue
        if name in _LOG_VALUES:
            if not sign:
                next(rest, None)
            continue
        if name == "run_mode":
            if mode is not None:
                raise UserError(f"--run_mode is given twice, as {mode} and {value}; give one")
            mode = _mode(value if sign else next(rest, ""), modes)
        elif plain in _SWITCHES:
            if (_truth(name, value) if sign else True) == (name in _SWITCHES):
                kept.append(f"--{plain}")
        else:
            kept.append(word if word.startswith("--") or len(word) == 2 else f"-{word}")
    return kept if mode is None else [mode, *(word for word in kept if word != mode)]


def _refuse_stray(word: str, last: str) -> None:
    """Refuses a word that is no option's value, where it is clear what was meant."""
    if last.startswith("--") and "=" not in last and last.lstrip("-") not in _SWITCHES:
        return  # the value of the option before it
    if word.endswith(".gin"):
        raise UserError(f"{word} stands alone; give gin files as --gin_file={word}")
    if last.startswith(_GIN):
        name = last[len(_GIN) :].partition("=")[0]
        raise UserError(
            f"{word!r} stands alone behind {last}; the shell cuts a value at its blanks: put all "
            f'of it into quotes, --gin.{name}="..."'
        )


def _mode(name: str, modes: Sequence[str]) -> str:
    if name not in modes:
        if name in _ELSEWHERE:
            raise UserError(f"closedbook has no mode {name}: {_ELSEWHERE[name]}")
        raise unknown_name("--run_mode", name, modes)
    return name


def _truth(name: str, value: str) -> bool:
    if value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise UserError(f"--{name} is {value!r}; give true or false, or leave the value out")
