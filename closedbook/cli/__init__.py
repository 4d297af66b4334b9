"""The commands `t5x` and `closedbook`: they parse, call and print."""
