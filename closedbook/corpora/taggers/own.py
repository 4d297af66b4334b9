"""A tagger out of a user's own code."""

import hashlib
import importlib
import inspect
import pathlib
import traceback
import types
from collections.abc import Callable, Sequence
from typing import SupportsIndex, TypeGuard

from closedbook.corpora.taggers.base import CharSpan
from closedbook.errors import UserError

_SHAPE = "one list per sentence, of (start, limit, label) with characters as whole numbers"


class OwnTagger:
    """Calls a function from a list of sentences to a list of (start, limit, label) for each."""

    def __init__(self, name: str):
        """Imports the function.

        Args:
            name: "module:function", both importable: the module's folder is on PYTHONPATH.

        Raises:
            UserError: There is no such module or function.
        """
        module_name, _, function_name = name.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise UserError(
                f"tagger {name!r}: {error}; put the folder of your module on PYTHONPATH"
            ) from None
        except Exception as error:
            raise UserError(f"tagger {name!r}: importing it failed{_where(error)}") from error
        function = getattr(module, function_name, None)
        if not callable(function):
            raise UserError(f"tagger {name!r}: {module_name} has no function {function_name!r}")
        self.name = name
        self.version = _version(module)
        self._function: Callable[[list[str]], object] = function

    def tag(self, sentences: Sequence[str]) -> list[list[CharSpan]]:
        """The spans of each sentence as the function gives them, in its order.

        Raises:
            UserError: The function raised an error, or returned something of another shape.
        """
        try:
            returned = self._function(list(sentences))
        except Exception as error:
            raise UserError(f"tagger {self.name!r} failed{_where(error)}") from error
        if not isinstance(returned, Sequence) or isinstance(returned, str | bytes):
            raise self._wrong(f"returned {type(returned).__name__}")
        if len(returned) != len(sentences):
            raise self._wrong(f"returned {len(returned)} lists for {len(sentences)} sentences")
        return [
            [self._span(span, text) for span in self._spans(spans, text)]
            for spans, text in zip(returned, sentences, strict=True)
        ]

    def _spans(self, spans: object, text: str) -> Sequence[object]:
        if not isinstance(spans, Sequence) or isinstance(spans, str | bytes):
            raise self._wrong(f"gave {spans!r:.80} for the sentence {text!r:.80}")
        return spans

    def _span(self, span: object, text: str) -> CharSpan:
        match span:
            case (start, limit, str(label)) if label and _whole(start) and _whole(limit):
                return CharSpan(int(start), int(limit), label)
        raise self._wrong(f"gave the span {span!r:.80} in the sentence {text!r:.80}")

    def _wrong(self, what: str) -> UserError:
        return UserError(f"tagger {self.name!r} {what}; it has to return {_SHAPE}")


def _whole(value: object) -> TypeGuard[SupportsIndex]:
    return hasattr(value, "__index__") and not isinstance(value, bool)  # NumPy's integers too


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f": {type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})"


def _version(module: types.ModuleType) -> str:
    """The module's own version and a hash of its file: a change of the code is a new version."""
    own = getattr(module, "__version__", "")
    source = inspect.getsourcefile(module)
    digest = hashlib.sha256(pathlib.Path(source).read_bytes()).hexdigest()[:8] if source else ""
    return "+".join(part for part in (str(own), digest) if part) or "unknown"
