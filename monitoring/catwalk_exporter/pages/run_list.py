"""The list of runs: search, filters, order, paging, and the selection of runs to compare.

A single form does all of it. Buttons also send it, so that runs selected on one page stay selected on the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.summaries import run_seconds
from catwalk.web.forms import checkbox, choice, form, submit, text_field
from catwalk.web.markup import Content, Html, card, document, element, joined, link, table
from catwalk.web.values import duration, moment, percent, plural
from catwalk_exporter.pages.comparison import MOST
from catwalk_exporter.pages.run_query import SIZES, SORTS, STATES, RunQuery
from catwalk_exporter.pages.view import QueryError, View, run_link

_COLUMNS = {
    "run": "", "state": "", "test": "n", "decision": "nowrap", "model": "name", "owner": "name", "trigger": "",
    "epochs": "n", "duration": "n nowrap", "started": "nowrap",
}  # fmt: skip
"""The CSS classes of each column."""
_TITLES = {"started": "started (UTC)"}
_NUMBERS = ("started", "test", "epochs", "duration")
"""Columns that are sorted from the highest value down first."""
_MOST_OPTIONS = 200
"""The most models or owners that are offered as a choice; if there are more, you type the name."""
_MOST_DAMAGED = 100
"""The most damaged objects that are listed."""


def page(view: View, query: RunQuery) -> str:
    """Returns a page of the list.

    Raises:
        QueryError: the list has no such page.
    """
    found = query.runs(view)
    pages = max(1, math.ceil(len(found) / query.size))
    if query.page > pages:
        raise QueryError(f"There is no page {query.page:,}: the list has {plural(pages, 'page')}.", 404)
    first = (query.page - 1) * query.size
    shown = found[first : first + query.size]
    content = _content(view, query, shown, first, len(found), pages) if view.snapshot.summaries else [_empty()]
    body = [element("h1", "Runs"), *view.notices(), *_damaged_notice(view), *content, *_damaged(view)]
    return document("Catwalk runs", *body, navigation=view.header(), css="broad")


def refusal(view: View, error: QueryError) -> str:
    """Returns the page for an address that asks for something that doesn't exist."""
    return view.message("Runs", str(error), link("/", "Show all runs"))


def _content(
    view: View, query: RunQuery, shown: Sequence[SummaryRecord], first: int, total: int, pages: int
) -> list[Html]:
    if not shown:
        nothing = element("p", joined("No run matches these filters. ", link("/", "Clear the filters")))
        return [form("/", _filters(view, query), *_elsewhere(query, shown), nothing)]
    champions = {champion.run_id for champion in view.snapshot.champions}
    rows = [_row(run, view, run.run_id in query.selected, run.run_id in champions) for run in shown]
    header = [_heading(column, query) for column in _COLUMNS]
    labels = [_TITLES.get(column, column) for column in _COLUMNS]
    listed = card(table(header, rows, [*_COLUMNS.values()], labels=labels))
    place = f"{first + 1:,}–{first + len(shown):,} of {plural(total, 'run')}"
    clear = joined(" · ", link("/", "Clear the filters")) if query.filters else ""
    count = element("p", joined(place, clear), "quiet")
    bar = element("div", joined(_compare(), _paging(query.page, pages)), "bar")
    return [form("/", _filters(view, query), *_elsewhere(query, shown), count, listed, bar)]


def _empty() -> Html:
    command = element("code", "catwalk run")
    return card(element("p", joined("There are no runs yet. Trigger a DAG, or type ", command, ".")))


def _filters(view: View, query: RunQuery) -> Html:
    runs = view.snapshot.summaries
    parts = [
        text_field("Search", "q", query.text, "search", "long"),
        _names("Model", "model", (run.model for run in runs), query.model),
        _names("Owner", "owner", (run.owner for run in runs), query.owner),
        choice("State", "state", {"": "any", **{state: state for state in STATES}}, query.state),
        text_field("Started from (UTC)", "from", query.since, "date"),
        text_field("Started until (UTC)", "to", query.until, "date"),
        choice("Sort by", "sort", _orders(), query.sort),
        choice("Runs per page", "size", {str(size): str(size) for size in SIZES}, str(query.size)),
        submit("Apply", "main"),
    ]
    return card(*parts, css="filters")


def _names(label: str, name: str, found: Iterable[str], chosen: str) -> Html:
    names = {*found, chosen} - {""}
    if len(names) > _MOST_OPTIONS:
        return text_field(label, name, chosen)
    return choice(label, name, {"": "any", **{one: one for one in sorted(names, key=str.casefold)}}, chosen)


def _orders() -> dict[str, str]:
    """Returns the text of each value of `sort`."""
    found = {"-started": "newest first", "started": "oldest first"}
    for column in [*SORTS][1:]:
        if column in _NUMBERS:
            found |= {f"-{column}": f"{column}, high to low", column: f"{column}, low to high"}
        else:
            found |= {column: f"{column}, A to Z", f"-{column}": f"{column}, Z to A"}
    return found


def _heading(column: str, query: RunQuery) -> Content:
    """Returns a button that sorts by a column, or reverses the order if the list is already sorted by it."""
    title = _TITLES.get(column, column)
    if column not in SORTS:
        return title
    up = {column: True, f"-{column}": False}.get(query.sort)
    first = f"-{column}" if column in _NUMBERS else column
    turned = {True: f"-{column}", False: column, None: first}[up]
    arrow = {True: " ↑", False: " ↓", None: ""}[up]
    return submit(f"{title}{arrow}", "plain", name="sort", value=turned)


def _row(run: SummaryRecord, view: View, selected: bool, is_champion: bool) -> list[Content]:
    state = view.state(run)
    box = checkbox("run", run.run_id, selected, f"Select run {run.run_id}")
    name = element("span", joined(box, " ", run_link(run.run_id)), "run")
    return [
        joined(name, " ", element("b", "champion", "badge")) if is_champion else name,
        element("span", state, state),
        run.named_headline or percent(run.test_accuracy),
        _decision(run),
        run.model,
        run.owner,
        run.trigger,
        f"{run.last_epoch} steps" if run.axis == "step" and run.last_epoch else str(run.epochs or "–"),
        duration(run_seconds(run, view.now)),
        moment(run.started, "%Y-%m-%d %H:%M"),
    ]


def _decision(run: SummaryRecord) -> Content:
    word, reason = run.decision, run.reason.replace("_", " ")
    return joined(element("span", word, word), f" {reason}") if word else reason or "–"


def _elsewhere(query: RunQuery, shown: Sequence[SummaryRecord]) -> list[Html]:
    """Returns the selected runs that are not on this page."""
    here = {run.run_id for run in shown}
    boxes = [
        element("label", joined(checkbox("run", run_id, True, f"Select run {run_id}"), " ", run_id), "chip")
        for run_id in query.selected
        if run_id not in here
    ]
    return [element("p", joined("Also selected: ", *boxes))] if boxes else []


def _compare() -> Html:
    button = submit("Compare selected runs", "main", formaction="/compare")
    return element("span", joined(button, " ", element("span", f"Select 2 to {MOST}.", "quiet")))


def _paging(number: int, pages: int) -> Html:
    """Returns buttons to other pages, if there are any."""
    if pages == 1:
        return Html("")
    parts: list[Content] = []
    if number > 1:
        parts += [_to(1, "First"), _to(number - 1, "Previous")]
    parts.append(element("span", f"Page {number:,} of {pages:,}"))
    if number < pages:
        parts += [_to(number + 1, "Next"), _to(pages, "Last")]
    return element("span", joined(*parts), "paging")


def _to(number: int, words: str) -> Html:
    return submit(words, name="page", value=str(number))


def _damaged_notice(view: View) -> list[Html]:
    if not view.snapshot.damaged:
        return []
    damaged = link("#damaged", plural(len(view.snapshot.damaged), "damaged object"))
    return [element("p", joined(damaged, " left out."), "bad")]


def _damaged(view: View) -> list[Html]:
    damaged = sorted(view.snapshot.damaged.items())
    if not damaged:
        return []
    items = [element("li", joined(element("code", key), f": {why}")) for key, why in damaged[:_MOST_DAMAGED]]
    if len(damaged) > _MOST_DAMAGED:
        items.append(element("li", f"and {len(damaged) - _MOST_DAMAGED:,} more"))
    title = element("h2", "Damaged objects", id="damaged")
    return [title, element("p", "Left out of the list and of the metrics:"), element("ul", joined(*items))]
