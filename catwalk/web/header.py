"""The first line of every page: links to runs, models, notifications and runbooks, whichever server shows them."""

from __future__ import annotations

from catwalk.web.markup import Html, element, joined, link, side_by_side


def header(here: str, exporter: str | None, courier: str | None, *own: Html) -> Html:
    """
    Args:
        here: the name of the section that the page is in, if it is in one.
        exporter: where people open it; empty: it shows this page; None: its address is unknown.
        courier: likewise.
        own: what belongs to this page alone, such as other views of a run; below the first line.
    """
    sections: dict[str, str] = {}
    if exporter is not None:
        sections |= {"Runs": f"{exporter}/", "Models": f"{exporter}/models"}
    if courier is not None:
        sections |= {"Notifications": f"{courier}/", "Runbooks": f"{courier}/runbooks/"}
    links = [link(address, _name(name, name == here)) for name, address in sections.items()]
    line = element("nav", joined(element("strong", "Catwalk"), *links), "site")
    return joined(line, element("nav", side_by_side(own))) if own else line


def _name(name: str, is_here: bool) -> Html:
    return element("span", name, **({"aria-current": "true"} if is_here else {}))
