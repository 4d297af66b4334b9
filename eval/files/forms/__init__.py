"""Files of answers as other tools write them, recognised by what is in them.

`contents.py` says what a file holds (rows, or one value), `columns.py` which key is which,
`tools.py` and `documents.py` what the tools have that names alone do not tell, and `loading.py`
puts it together for `closedbook.eval.predictions.read`.
"""
