"""Forms: what may be changed from a page, and the command that does the same. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

import msgspec

TOKEN = "token"  # noqa: S105  the field's name


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a form; `choices` are pairs of a value and its text."""

    name: str
    label: str
    kind: Literal["text", "number", "lines", "choice", "hidden"] = "text"
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    required: bool = False


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A form on a page, with the command that does the same.

    `action`: where it is sent.

    With `get` it changes nothing and asks for a page; else it is offered with --write only.

    `command`: what does the same at the console; without an `action` it is all that there is.
    `note`: what it means. `more`: fields that most leave empty, folded away. `fills`: the id of the
    part of the page that is drawn anew while somebody types. `above`: markup of reports.page that
    stands in the form before its fields, such as a table with boxes to tick.
    """

    action: str
    button: str
    fields: tuple[Field, ...] = ()
    more: tuple[Field, ...] = ()
    command: str = ""
    get: bool = False
    fills: str = ""
    careful: bool = False  # it ends something
    note: str = ""
    above: str = ""


def html(form: Form, *, token: str, write: bool, same: str = "") -> str:
    """Return a form as HTML, or only its terminal command where it may not be submitted.

    Args:
        form: The form.
        token: The anti-forgery token, which tells the server that the form is from its own page.
        write: Whether changes are allowed.
        same: What the command ends with, such as `--target NAME`.
    """
    note = f"<p>{escape(form.note)}</p>" if form.note else ""
    if not (form.action and (form.get or write)):
        return (
            f'<div class="change">{note}{_command(form, "in a terminal", same)}</div>'
            if form.command
            else ""
        )
    hidden = "" if form.get else f'<input type="hidden" name="{TOKEN}" value="{_attribute(token)}">'
    fills = f' data-fills="{_attribute(form.fills)}"' if form.fills else ""
    kind = ' class="careful"' if form.careful else ""
    method, action = "get" if form.get else "post", _attribute(form.action)
    fields = "".join(map(_field, form.fields)) + _fold(form.more)
    button = f"<button{kind}>{escape(form.button)}</button>"
    inner = f"{hidden}{form.above}{fields}{button}"
    drawn = f'<form method="{method}" action="{action}"{fills}>{inner}</form>'
    return (
        f'<div class="change">{note}{drawn}{_command(form, "the same in a terminal", same)}</div>'
    )


def _fold(fields: Sequence[Field]) -> str:
    """Return optional fields as HTML, folded behind "More"; open if one of them has a value."""
    if not fields:
        return ""
    opened = " open" * any(field.value for field in fields)
    return (
        "<details "
        f'class="more"{opened}><summary>More</summary>'
        f"<div>{''.join(map(_field, fields))}</div></details>"
    )


def _command(form: Form, words: str, same: str) -> str:
    """Return the HTML of the terminal command that does what a form does.

    `words` is the command, and `same` what it ends with, such as `--target NAME`.
    """
    return (
        f'<p class="soft command"><code>{escape(form.command + same)}</code> {escape(words)}</p>'
        if form.command
        else ""
    )


def _field(field: Field) -> str:
    """Return the HTML of a form's field: label, hint and input."""
    name, value = _attribute(field.name), _attribute(field.value)
    if field.kind == "hidden":
        return f'<input type="hidden" name="{name}" value="{value}">'
    hint = f' <small class="soft">{escape(field.hint)}</small>' if field.hint else ""
    return f"<label><span>{escape(field.label)}{hint}</span>{_input(field, name, value)}</label>"


def _input(field: Field, name: str, value: str) -> str:
    """Return the HTML of a field's input: textarea, select or input.

    `name` and `value` are escaped already.
    """
    required = " required" if field.required else ""
    if field.kind == "lines":
        rows = max(3, field.value.count("\n") + 2)
        return (
            f'<textarea name="{name}" rows="{rows}" '
            f'spellcheck="false"{required}>\n{escape(field.value)}</textarea>'
        )
    if field.kind == "choice":
        return (
            "<select "
            f'name="{name}"{required}>{"".join(_options(field.value, field.choices))}</select>'
        )
    kind = ' type="number" step="any" min="0"' if field.kind == "number" else ""
    return f'<input name="{name}" value="{value}"{kind}{required}>'


def _options(chosen: str, choices: Sequence[tuple[str, str]]) -> list[str]:
    """Return the HTML option elements of a select, with the chosen one selected."""
    return [
        "<option "
        f'value="{_attribute(value)}"{" selected" * (value == chosen)}>{escape(text)}</option>'
        for value, text in choices
    ]


def _attribute(text: str) -> str:
    """Return a text escaped for use in an HTML attribute."""
    return escape(text, quote=True)
