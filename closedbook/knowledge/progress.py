"""How long work tells how far it is: three forms of one callback, and one that tells nobody.

A value that is given back is not looked at, so that methods such as `list.append` or a bar's
`update` serve as they are.
"""

from collections.abc import Callable

# Of one count, whose end the caller knows: how many are done so far, counted from the start.
Count = Callable[[int], object]
# Of one count with its end: how many are done, and of how many.
CountOf = Callable[[int, int], object]
# Of work in several steps: the step's name for people, how much of it is done, and of how much
# (0 where that is not known).
Progress = Callable[[str, int, int], object]


def silent(*told: object) -> None:
    """Tells nobody; any of the forms."""
