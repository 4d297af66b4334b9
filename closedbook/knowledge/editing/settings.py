"""The settings of an edit, and the presets of published methods and of the packaged models."""

import dataclasses
from collections.abc import Mapping
from typing import Literal, get_args

from closedbook.errors import UserError, unknown_name
from closedbook.knowledge.editing.values import ValueSettings

Method = Literal["rome", "memit", "emmet", "alphaedit", "ft", "ft-l", "ft-m"]
METHODS: tuple[Method, ...] = get_args(Method)
FINE_TUNING: tuple[Method, ...] = ("ft", "ft-l", "ft-m")
KeyMode = Literal["original", "averaged", "prompt"]
KEY_MODES: tuple[KeyMode, ...] = get_args(KeyMode)
Effect = Literal["subject", "matrix"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How facts are edited.

    Attributes:
        method: One of `METHODS`.
        stack: "encoder" or "decoder"; None for the one that reads the prompt.
        layers: Which are changed, from 0; rome changes one.
        key_mode: The key: the mean over prompts and contexts, or that of the bare prompt.
            "original" mixes the two, as kmeng01/rome does.
        effect: What the search for the value sees. "subject": the value is added at the subject's
            last token alone, as in kmeng01/rome. "matrix": it acts wherever the changed matrix is
            going to act; exact for one layer, because its keys do not depend on it.
        value: How the value is searched.
        ridge: Share of C's mean eigenvalue that is added to each.
        moment_weight: lambda of MEMIT and EMMET, the weight of C beside the new keys.
        preserve: Weight of the keys of prompts that are to be left alone, beside C.
        accumulate_keys: Weigh the keys of earlier edits, so that later ones leave them alone.
        key_weight: Weight of each earlier edit's key beside C; 1 in AlphaEdit.
        null_space: Write only in directions in which C's keys do nearly nothing.
        null_threshold: Eigenvalues of C below this share of the largest count as nothing.
        l2: AlphaEdit's regularisation.
        norm_anchor: Keep each value at the length that it has in the stored original.
        fine_tuning_rate: Adam's, of the fine-tuning baselines.
        fine_tuning_steps: Most steps of them.
        largest_change: FT-L's bound of each weight's change.
    """

    method: Method = "rome"
    stack: str | None = None
    layers: tuple[int, ...] = (0,)
    key_mode: KeyMode = "averaged"
    effect: Effect = "subject"
    value: ValueSettings = dataclasses.field(default_factory=ValueSettings)
    ridge: float = 0.0
    moment_weight: float = 1.0
    preserve: float = 0.0
    accumulate_keys: bool = False
    key_weight: float = 1.0
    null_space: bool = False
    null_threshold: float = 1e-3
    l2: float = 10.0
    norm_anchor: bool = False
    fine_tuning_rate: float = 5e-4
    fine_tuning_steps: int = 25
    largest_change: float = 5e-4

    def __post_init__(self) -> None:
        for name, valid in (("method", METHODS), ("key_mode", KEY_MODES), ("effect", EFFECTS)):
            if getattr(self, name) not in valid:
                raise unknown_name(name.replace("_", " "), getattr(self, name), valid)
        if len(self.layers) != 1 and self.method in ("rome", *FINE_TUNING):
            raise UserError(f"{self.method} changes one layer, not {list(self.layers)}; give one")
        if len(self.layers) != 1 and self.effect == "matrix":
            raise UserError('the effect "matrix" is known for one layer alone; give one')
        for name in ("ridge", "preserve", "l2"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("moment_weight", "key_weight", "null_threshold", "fine_tuning_rate"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}; it must be above 0")


def published(method: Method) -> Settings:
    """The settings that a method was published with, as far as they do not depend on the model.

    ROME and FT: kmeng01/rome; MEMIT: kmeng01/memit (GPT-2 XL); AlphaEdit: jianghoucheng/AlphaEdit,
    but for its threshold, which is relative here. EMMET takes MEMIT's.
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    batch = ValueSettings(clamp=0.75, steps=20)
    of: Mapping[str, Settings] = {
        "memit": Settings(method="memit", moment_weight=20_000, value=batch),
        "emmet": Settings(method="emmet", moment_weight=20_000, value=batch),
        "alphaedit": Settings(
            method="alphaedit",
            null_space=True,
            accumulate_keys=True,
            value=dataclasses.replace(batch, steps=25, learning_rate=0.1),
        ),
        "ft-m": Settings(method="ft-m"),
    }
    return of.get(method, Settings(method=method))
