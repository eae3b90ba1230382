"""Forms that work without JavaScript. They use GET, so that a result's address can be bookmarked and shared."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from catwalk.web.markup import Content, Html, element, joined


def form(address: str, *parts: Html, css: str = "") -> Html:
    """Returns a form whose fields become the parameters of an address of this server."""
    return element("form", joined(*parts), css, method="get", action=address)


def text_field(label: str, name: str, value: str, kind: str = "text", css: str = "") -> Html:
    """Returns a field for one line of text, or a date.

    Args:
        label: The field's label.
        name: The parameter.
        value: The initial value.
        kind: The type in HTML: text, search or date.
        css: Its classes.
    """
    return _labelled(label, Html(_input(type=kind, name=name, value=value)), css)


def choice(label: str, name: str, options: Mapping[str, str], chosen: str, css: str = "") -> Html:
    """Returns a field to choose one of several values.

    Args:
        label: The field's label.
        name: The parameter.
        options: The shown text of each value.
        chosen: The selected value.
        css: Its classes.
    """
    shown = "".join(
        f'<option value="{escape(value)}"{" selected" * (value == chosen)}>{escape(text)}</option>'
        for value, text in options.items()
    )
    return _labelled(label, Html(f'<select name="{escape(name)}">{shown}</select>'), css)


def checkbox(name: str, value: str, checked: bool, label: str) -> Html:
    """Returns a checkbox that adds a value to a parameter with several; its label is only for screen readers."""
    return Html(_input(type="checkbox", name=name, value=value, checked=checked, **{"aria-label": label}))


def hidden(name: str, value: str) -> Html:
    """Returns a parameter that is not shown."""
    return Html(_input(type="hidden", name=name, value=value))


def submit(content: Content, css: str = "", **attributes: str) -> Html:
    """Returns a button that sends the form, with its own parameter if the attributes include a name and a value."""
    return element("button", content, css, type="submit", **attributes)


def _labelled(label: str, field: Html, css: str) -> Html:
    return element("label", joined(element("span", label), field), f"field {css}".strip())


def _input(**attributes: str | bool) -> str:
    """Returns an input. True attributes have no value; false or empty ones are left out."""
    given = (
        f" {name}" if value is True else f' {name}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value
    )
    return f"<input{''.join(given)}>"
