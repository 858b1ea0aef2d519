"""The commands that the package's own texts print: errors, remedies, hints and next steps.

They are read from the source, so that a text that no test provokes is among them.
"""

import ast
import itertools
import re
import shlex
from pathlib import Path

import click

from isthmus.cli.main import main

ROOT = Path(__file__).parents[2]
ROOMS = (
    *("adapters", "cli", "core", "endpoints", "events", "experiments", "feature_store"),
    *("lifecycle", "pipelines", "project", "reports", "rollouts", "ui"),
)
PLACEHOLDER = "PLACEHOLDER"  # what a text fills in when it is printed
_MOST = 8  # alternatives of one text
# what ends a command within a sentence
_END = re.compile(r"[`;()|>]|,(?=\s|$)|:(?=\s|$)|(?<!\.)\.(?=\s|$)|\s{2,}|\n| (?:or|and|&&|-) ")
_COMMAND = re.compile(r"(?<![\w./<-])isthmus (?=[a-z{-])")


def printed():
    """Yield (place, command without its first word) of every command in the package's texts."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node, text in _texts(tree):
                for match in _COMMAND.finditer(text):
                    command = _END.split(text[match.end() :], maxsplit=1)[0].strip(" '")
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", command


def _texts(tree):
    """Yield (node, text) of all strings but docstrings, with every alternative of a condition."""
    docstrings = {
        id(scope.body[0].value)
        for scope in ast.walk(tree)
        if isinstance(scope, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and scope.body
        and isinstance(scope.body[0], ast.Expr)
    }
    parts = {
        id(value)
        for joined in ast.walk(tree)
        if isinstance(joined, ast.JoinedStr)
        for value in ast.walk(joined)
        if value is not joined
    }
    for node in ast.walk(tree):
        if id(node) in docstrings or id(node) in parts:
            continue
        if isinstance(node, ast.JoinedStr | ast.Constant):
            yield from ((node, text) for text in dict.fromkeys(_alternatives(node)))


def _alternatives(node):
    """Return what a string may be; what is not written in it is a placeholder."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.FormattedValue):
        return _alternatives(node.value) or [PLACEHOLDER]
    if isinstance(node, ast.IfExp):
        branches = [_alternatives(branch) or [PLACEHOLDER] for branch in (node.body, node.orelse)]
        return [*branches[0], *branches[1]]
    if isinstance(node, ast.JoinedStr):
        choices = [_alternatives(value) or [PLACEHOLDER] for value in node.values]
        return ["".join(chosen) for chosen in itertools.islice(itertools.product(*choices), _MOST)]
    return []


def refusal(text):
    """Return why the command line would not take a printed command, or "".

    A command that is only named (`isthmus deploy`) needs no arguments. Placeholders stand for any
    value, and for options that are filled in.
    """
    words = _words(text)
    command, context = main, click.Context(main, info_name="isthmus")
    while isinstance(command, click.Group) and words:
        if command is main and words[0].startswith("-"):
            _, words, _ = command.make_parser(context).parse_args(list(words))
            continue
        if PLACEHOLDER in words[0]:
            return ""
        try:
            _, inner, words = command.resolve_command(context, words)
        except click.UsageError as error:
            return error.format_message()
        command = inner
        context = click.Context(command, info_name=words and words[0], parent=context)
    if isinstance(command, click.Group):
        return ""
    try:
        _, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        return error.format_message()
    most = [p.nargs for p in command.params if isinstance(p, click.Argument)]
    taken = [word for word in words if not word.startswith("-")]
    if rest or (-1 not in most and len(_positional(command, words)) > sum(most)):
        return f"{taken[sum(most) :] or rest} is too much"
    return ""


def _positional(command, words):
    """Return the words that are no options and no values of options."""
    flags = {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    positional, words = [], list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            positional.append(word)
        elif "=" not in word and word not in flags and words:
            words.pop(0)
    return positional


def _words(text):
    try:
        return shlex.split(text)
    except ValueError:  # a quote of the sentence, not of the command
        return shlex.split(text.replace("'", "").replace('"', ""))
