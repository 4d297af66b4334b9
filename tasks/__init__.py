"""SeqIO tasks of closed-book question answering; importing this registers them all."""

if __name__ == "tasks":
    raise ImportError("import closedbook.tasks, not tasks: the folder is linked into the package")
