"""Reads gin files and bindings into gin's configuration, T5X's own included.

gin's parser is used, statement by statement, so that all mistakes are told at once, names that
files give to imported modules are followed, and what T5X says without effect here is noted.
"""

import contextlib
import inspect
import io
import logging
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence

import gin
from gin import config as gin_config
from gin import config_parser

from closedbook.buckets import path_at
from closedbook.buckets.client import BucketError
from closedbook.cli.gin_files import messages, numbers, packaged, upstream, without_effect
from closedbook.errors import UserError
from closedbook.training import feeds

_log = logging.getLogger(__name__)
_REQUIRED = "%gin.REQUIRED"


class Reader:
    """What has been read of a run's configuration.

    Args:
        names: What is registered, for messages.
        search: Folders in which files are looked up.
        imports_allowed: Whether files may import modules; else each import of one that is not
            closedbook's or known to it by name is a mistake.

    Attributes:
        mistakes: Messages, in the order in which they were found.
        without_effect: Why, by the name of each parameter that changes nothing.
        modules: Modules of tasks that files import, by the place where they do.
        own_macros: Macros that files of the user's set.
        referred_macros: Macros that anything refers to, counting or not.
    """

    def __init__(
        self, names: Sequence[str], search: Sequence[str], *, imports_allowed: bool = True
    ) -> None:
        self._names, self._search = names, search
        self._imports_allowed = imports_allowed
        self._aliases: dict[str, str] = {}
        self._refused: set[str] = set()  # names of modules that were refused
        self._vocabularies: dict[str, tuple[object, str]] = {}  # value and place
        self._foreign: dict[tuple[str, str], tuple[without_effect.WithoutEffect, object, str]] = {}
        self._open: list[str] = []  # files that are being read
        self.mistakes: list[str] = []
        self.without_effect: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        self.imports: set[str] = set()  # lines of gin that import them
        self.own_macros: set[str] = set()
        self.referred_macros: set[str] = set()

    def file(self, path: str) -> None:
        """Reads a file and what it includes; a file that is missing is a mistake."""
        try:
            file = packaged.found(path, self._search)
            text = path_at(file).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            self._mistake(f"{file} is not UTF-8 text: {error}")
            return
        except UserError as error:
            self._mistake(str(error))
            return
        except BucketError as error:
            self._mistake(error.message)
            return
        if file in self._open:
            self._mistake(f"{file} includes itself, by {', '.join(self._open)}")
            return
        self._open.append(file)
        try:
            self._statements(text, file)
        finally:
            self._open.pop()

    def binding(self, binding: str) -> None:
        """Reads a binding of the command line, NAME=VALUE."""
        name, sign, value = binding.partition("=")
        if not sign or not name.strip() or not value.strip():
            self._mistake(
                f"malformed binding {binding!r}; write NAME=VALUE, for example "
                "--gin.TRAIN_STEPS=1000 or --gin.MODEL_DIR=\"'/dir'\""
            )
            return
        before = len(self.mistakes)
        self._statements(binding, None)
        if any("malformed value" in each for each in self.mistakes[before:]):
            told = messages.malformed_binding(name.strip(), value.strip())
            self.mistakes[before:] = [told]

    def import_modules(self) -> None:
        """Imports the modules of tasks.

        Raises:
            UserError: One cannot be imported.
        """
        for module, place in self.modules.items():
            feeds.import_module(module, f"import {module}{place}")

    def log_without_effect(self) -> None:
        """Lists once what was bound without effect."""
        if self.without_effect:
            rows = [f"  {name}: {why}" for name, why in sorted(self.without_effect.items())]
            _log.info("\n".join(["bound without effect:", *rows]))

    def _mistake(self, message: str, place: str = "") -> None:
        if message + place not in self.mistakes:
            self.mistakes.append(message + place)

    def _statements(self, text: str, file: str | None) -> None:
        stream = io.StringIO(text if text.endswith("\n") else text + "\n")
        if file is not None:
            stream.name = file
        try:
            for statement in config_parser.ConfigParser(stream, _Delegate(self)):
                line = statement.location.line_num
                place = f" ({file}, line {line})" if file is not None else ""
                self._statement(statement, place)
        except (SyntaxError, tokenize.TokenError) as error:
            number = error.lineno if isinstance(error, SyntaxError) else error.args[1][0] - 1
            lines = text.splitlines()
            at = min(max(number or 1, 1), max(len(lines), 1))
            where = f" ({file}, line {at})" if file is not None else ""
            self._mistake(messages.malformed_line(lines[at - 1] if lines else "", where))

    def _statement(self, statement: object, place: str) -> None:
        if isinstance(statement, config_parser.IncludeStatement):
            self.file(statement.filename)
        elif isinstance(statement, config_parser.ImportStatement):
            self._import(statement, place)
        elif isinstance(statement, config_parser.BindingStatement):
            scope, selector, parameter, value, _ = statement
            self.referred_macros.update(_macros_in(value))
            if parameter:
                self._parameter(scope, selector, parameter, value, place)
            else:
                self._macro(f"{scope}/{selector}" if scope else selector, value, place)

    def _import(self, statement: config_parser.ImportStatement, place: str) -> None:
        module, bound = statement.module, statement.bound_name()
        if module.startswith("__gin__"):
            return
        if module == "__main__":
            self._aliases[bound] = ""
        elif message := upstream.refused_module(module):
            self._refused.add(bound)
            self._mistake(message, place)
        elif upstream.is_covered(module):
            last = module.rpartition(".")[2]
            if statement.alias or statement.is_from:
                self._aliases[bound] = last
                self._refused.discard(bound)
        elif not self._imports_allowed and module.partition(".")[0] != "closedbook":
            self._refused.add(bound)
            self._mistake(upstream.refused_import(f"import {module}"), place)
        else:
            self.modules.setdefault(module, place)
            self.imports.add(statement.format())

    def canonical(self, selector: str) -> str:
        """The name of a configurable, with what a file calls its module undone."""
        head, dot, rest = selector.partition(".")
        if dot and head in self._aliases:
            module = self._aliases[head]
            selector = f"{module}.{rest}" if module else rest
        module, dot, name = selector.rpartition(".")
        return module + dot + without_effect.FORMER_NAMES.get(name, name)

    def is_known(self, selector: str) -> bool:
        """Whether a configurable is registered, after the files' own modules if need be."""
        if _registered(selector) is not None:
            return True
        head = selector.partition(".")[0]
        for module in self.modules:
            if head in module.split(".") and module not in sys.modules:
                with contextlib.suppress(UserError):  # told when the run begins
                    feeds.import_module(module, f"import {module}")
        return _registered(selector) is not None

    def is_refused(self, selector: str) -> bool:
        """Whether a configurable is of a module that was refused, which has been said."""
        return selector.partition(".")[0] in self._refused

    def _macro(self, name: str, value: object, place: str) -> None:
        # A file that asks for a macro does not undo what another one says, whatever their order.
        if without_effect.written(value) == _REQUIRED:
            return
        self._check_references(value, place)
        gin.bind_parameter((name, "gin.macro", "value"), value)
        if place and not packaged.is_packaged(self._open[-1]):
            self.own_macros.add(name)

    def _parameter(
        self, scope: str, selector: str, parameter: str, value: object, place: str
    ) -> None:
        if self.is_refused(selector):
            return
        name = self.canonical(selector)
        known = self.is_known(name)
        whole = _registered(name) if known else name
        owner = (whole or name).removeprefix("t5x.")
        if row := without_effect.rule_for(owner, parameter):
            # A later binding takes an earlier one's place, so values are judged at the end.
            self._foreign[scope, f"{owner}.{parameter}"] = (row, value, place)
            return
        if ours := without_effect.renamed(owner, parameter):
            if parameter.endswith("_vocabulary"):
                self._vocabularies[f"{owner}.{parameter}"] = without_effect.written(value), place
                if value is None:
                    return
            name, _, parameter = ours.rpartition(".")
        elif not known:
            self._mistake(str(messages.unknown("configurable", name, self._names)), place)
            return
        self._check_references(value, place)
        if without_effect.written(value) == _REQUIRED:
            return
        try:
            gin.bind_parameter((scope, name, parameter), value)
        except ValueError as error:
            if "doesn't have a parameter" not in str(error):
                raise
            self._mistake(messages.no_parameter(name, parameter, place))

    def finish(self) -> None:
        """Judges what only all files and bindings together tell; call it once, after them."""
        for (_, name), (row, value, place) in self._foreign.items():
            if row.accepts(value):
                self.without_effect.setdefault(name, row.why)
                continue
            able = ", ".join(str(without_effect.written(each)) for each in row.only or ())
            self._mistake(
                f"{name} is {without_effect.written(value)}, which closedbook does not do "
                f"({row.why}); leave it out, or give {able}",
                place,
            )
        self._check_vocabularies()

    def _check_vocabularies(self) -> None:
        """Takes two vocabularies of one model, for inputs and for targets, for a mistake."""
        given = {name: value for name, (value, _) in self._vocabularies.items()}
        for name, value in given.items():
            if value is None:
                model = gin_config._REGISTRY.get_match(name.rpartition(".")[0]).wrapped
                message = numbers.none_where(inspect.unwrap(model), "vocabulary", name)
                self._mistake(message, self._vocabularies[name][1])
        if None not in given.values() and len(set(map(str, given.values()))) > 1:
            values = " and ".join(
                f"{name} is {value}{self._vocabularies[name][1]}" for name, value in given.items()
            )
            self._mistake(
                f"{values}, but closedbook has one vocabulary for inputs and targets; give both "
                "the same"
            )

    def _check_references(self, value: object, place: str) -> None:
        for reference in _unknown(value):
            if not self.is_refused(reference.name):
                name = self.canonical(reference.name)
                self._mistake(str(messages.unknown("configurable", name, self._names)), place)


class _Delegate(gin_config.ParserDelegate):
    """Makes references; those to what is not registered are kept as they are written."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader

    def configurable_reference(self, scoped_selector: str, evaluate: bool) -> object:
        scope, slash, selector = scoped_selector.rpartition("/")
        name = self._reader.canonical(selector)
        if self._reader.is_refused(selector) or not self._reader.is_known(name):
            return without_effect.Unknown(scope + slash + name, evaluate)
        return gin_config.ConfigurableReference(scope + slash + name, evaluate)


def _registered(selector: str) -> str | None:
    """The whole name of a registered configurable; None for none, or for several."""
    try:
        match = gin_config._REGISTRY.get_match(selector)
    except KeyError:
        return None
    return None if match is None else str(match.selector)


def _each(value: object) -> Iterator[object]:
    """A value and all that it holds."""
    yield value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _each(key)
            yield from _each(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _each(each)


def _unknown(value: object) -> list[without_effect.Unknown]:
    return [each for each in _each(value) if isinstance(each, without_effect.Unknown)]


def _macros_in(value: object) -> set[str]:
    """Names of the macros that a value refers to."""
    found = (
        repr(each) for each in _each(value) if isinstance(each, gin_config.ConfigurableReference)
    )
    return {text[1:] for text in found if re.fullmatch(r"%[\w/]+", text)}
