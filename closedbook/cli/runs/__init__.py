"""What `t5x` says of its runs: how to begin one, and what to do with a finished one."""
