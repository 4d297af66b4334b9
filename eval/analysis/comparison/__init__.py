"""Two or more systems on the same questions: who is better, by how much, and is it chance?"""

from closedbook.eval.analysis.comparison.comparing import compare as compare
