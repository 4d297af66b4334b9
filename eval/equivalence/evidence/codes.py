"""What the numbers of the evidence mean.

Where their order matters, a greater one says that two answers are nearer to one another. The
learned weights compare these numbers, so they stay as they are.
"""

import enum


class Dates(enum.IntEnum):
    """How a date of the prediction stands to the expected one."""

    NONE = -1  # one of the two answers has no date
    CONFLICT = 0
    NEAR = 1  # the same year, another month or day
    OVERLAP = 2
    COARSER = 3  # around the expected one
    FINER = 4  # inside it
    SAME = 5


class Stands(enum.IntEnum):
    """How the words of one answer stand in another."""

    NOT = 0
    SCATTERED = 1
    STEMS = 2  # in a row, in other forms
    WORDS = 3  # in a row


class Surname(enum.IntEnum):
    """Whether the prediction has the expected surname."""

    NONE = -1  # the expected answer is no name
    MISSING = 0
    SPELLING = 1  # in another spelling
    SAME = 2


class Forename(enum.IntEnum):
    """Whether the prediction has the expected first name."""

    NONE = -1  # the expected answer has none
    MISSING = 0
    SPELLING = 1  # in another spelling
    SHORT = 2  # as a nickname or an initial
    SAME = 3


class Comma(enum.IntEnum):
    """Which part of one answer, up to a comma or after it, is the other answer."""

    NONE = 0
    GOLD_BEFORE = 1  # expected Sudbury, given "Sudbury, Canada"
    GIVEN_BEFORE = 2  # the other way round
    GIVEN_AFTER = 3  # expected "Sudbury, Canada", given Canada


class Item(enum.IntEnum):
    """Which answer is a whole item of the list that the other one is."""

    NONE = 0
    GIVEN = 1
    GOLD = 2
