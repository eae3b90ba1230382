"""The first line of every page: links to runs, models, notifications and runbooks, on whichever server they are."""

from __future__ import annotations

from catwalk.web.markup import Html, element, joined, link, side_by_side


def header(here: str, exporter: str | None, courier: str | None, *own: Html) -> Html:
    """
    Args:
        here: The name of the page's section, if it has one.
        exporter: The address at which people open the exporter; empty if it serves this page, None if unknown.
        courier: The same for the courier.
        own: Links of this page only, such as other views of a run; below the first line.
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
