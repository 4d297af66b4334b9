"""Prints the folder of tasks for lm-evaluation-harness."""

from closedbook.tasks.harnesses import LM_EVAL

if __name__ == "__main__":
    print(LM_EVAL)
