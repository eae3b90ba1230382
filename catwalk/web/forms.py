"""Forms that work without JavaScript: each is sent by GET, so that its address can be kept and sent on."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from catwalk.web.markup import Content, Html, element, joined


def form(address: str, *parts: Html, css: str = "") -> Html:
    """Its fields become the parameters of an address of this server."""
    return element("form", joined(*parts), css, method="get", action=address)


def text_field(label: str, name: str, value: str, kind: str = "text", css: str = "") -> Html:
    """One line of text, or a date.

    Args:
        label: what it asks for.
        name: the parameter.
        value: what it holds at first.
        kind: text, search or date, as HTML has it.
        css: its classes.
    """
    return _labelled(label, Html(_input(type=kind, name=name, value=value)), css)


def choice(label: str, name: str, options: Mapping[str, str], chosen: str, css: str = "") -> Html:
    """One of several values.

    Args:
        label: what it asks for.
        name: the parameter.
        options: value → what is shown of it.
        chosen: one of the values.
        css: its classes.
    """
    shown = "".join(
        f'<option value="{escape(value)}"{" selected" * (value == chosen)}>{escape(text)}</option>'
        for value, text in options.items()
    )
    return _labelled(label, Html(f'<select name="{escape(name)}">{shown}</select>'), css)


def checkbox(name: str, value: str, checked: bool, label: str) -> Html:
    """Adds a value to a parameter that may have several; its label is heard, not seen."""
    return Html(_input(type="checkbox", name=name, value=value, checked=checked, **{"aria-label": label}))


def hidden(name: str, value: str) -> Html:
    """A parameter that is not shown."""
    return Html(_input(type="hidden", name=name, value=value))


def submit(content: Content, css: str = "", **attributes: str) -> Html:
    """Sends the form, with a parameter of its own where the attributes give it a name and a value."""
    return element("button", content, css, type="submit", **attributes)


def _labelled(label: str, field: Html, css: str) -> Html:
    return element("label", joined(element("span", label), field), f"field {css}".strip())


def _input(**attributes: str | bool) -> str:
    """Those that are true have no value; those that are false or empty are left out."""
    given = (
        f" {name}" if value is True else f' {name}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value
    )
    return f"<input{''.join(given)}>"
