"""Charts as inline SVG: pygal draws them, the page's style sheet colours them.

What pygal adds for a file that stands alone is taken out again: its style sheet and script, which the page's policy
would refuse, and its tooltips, which need that script. Each mark gets a `title` instead, which browsers show.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pygal  # type: ignore[import-untyped]
from markupsafe import Markup
from pygal.etree import etree  # type: ignore[import-untyped]
from pygal.style import Style  # type: ignore[import-untyped]

Series = Mapping[str, Sequence[int]]
"""What is counted -> how many there are at each label."""

_FONT = 12
_STYLE = Style(label_font_size=_FONT, major_label_font_size=_FONT)
_COMMON: dict[str, Any] = {
    "css": (),
    "js": (),
    "no_prefix": True,
    "show_legend": False,
    "style": _STYLE,
    "margin": 4,
    "value_formatter": lambda value: f"{value:,.0f}",
}
_TICKS = 5
_LABEL = 30
"""Characters of a name beside its bar."""
_LABEL_END = 11
"""How many of them are the end of a name that is longer: names that begin alike differ there."""


def donut(title: str, parts: Mapping[str, int]) -> Markup:
    """Parts of a whole."""
    chart = pygal.Pie(**_COMMON, width=220, height=220, inner_radius=0.62)
    for name, n in parts.items():
        chart.add(name, n)
    return _finished(chart, title, list(parts), lambda name, _, n: f"{n} {name}")


def columns(title: str, labels: Sequence[str], series: Series) -> Markup:
    """Columns side by side, each stacked."""
    chart = pygal.StackedBar(
        **_COMMON,
        width=960,
        height=280,
        margin_right=28,  # half of the last label
        x_labels=labels,
        truncate_label=-1,
        x_labels_major_count=9,
        show_minor_x_labels=len(labels) <= 9,
    )
    return _stacked(chart, title, series)


def bars(title: str, labels: Sequence[str], series: Series) -> Markup:
    """Bars under each other, the first on top, each stacked."""
    names = _told_apart([_shortened(label) for label in labels])
    chart = pygal.HorizontalStackedBar(**_COMMON, width=960, height=48 + 30 * len(labels), x_labels=names[::-1])
    return _stacked(chart, title, {name: values[::-1] for name, values in series.items()})


def _shortened(name: str) -> str:
    return name if len(name) <= _LABEL else f"{name[: _LABEL - _LABEL_END - 1]}…{name[-_LABEL_END:]}"


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names that are the same, numbered."""
    return [
        f"{name} ({names[: at + 1].count(name)})" if names.count(name) > 1 else name for at, name in enumerate(names)
    ]


def _stacked(chart: Any, title: str, series: Series) -> Markup:
    chart.y_labels = _ticks(max(map(sum, zip(*series.values(), strict=True))))
    for name, values in series.items():
        chart.add(name, values)
    return _finished(chart, title, list(series), lambda name, label, n: f"{label}: {n} {name}")


def _ticks(largest: int) -> range:
    """Round whole numbers from 0 to just beyond the largest value."""
    step = next(
        factor * 10**power for power in range(20) for factor in (1, 2, 5) if factor * 10**power * _TICKS >= largest
    )
    return range(0, largest + step, step)


def _finished(chart: Any, title: str, names: Sequence[str], says: Callable[[str, str, str], str]) -> Markup:
    """The chart as part of a page: an image with a name for who cannot see it; each series of the class of its name."""
    svg = chart.render_tree()
    graph = svg.find("g")
    svg.remove(svg.find("defs"))
    graph.remove(graph.find("g[@class='plot tooltip-overlay']"))
    for number, name in enumerate(names):
        for series in graph.iterfind(f".//g[@class='series serie-{number} color-{number}']"):
            series.set("class", f"series {name}")
            for mark in (mark for mark in series.iter("g") if mark.find("desc") is not None):
                _name(mark, name, says)
    svg.attrib.pop("id")
    svg.set("role", "img")
    svg.find("title").text = title
    description = etree.Element("desc")
    description.text = "The table with it has the same figures."
    svg.insert(list(svg).index(svg.find("title")) + 1, description)
    return Markup(etree.tostring(svg, encoding="unicode"))  # noqa: S704 (the library escapes what is in it)


def _name(mark: Any, series: str, says: Callable[[str, str, str], str]) -> None:
    """Have the mark say what it is, instead of carrying that for the script."""
    facts = {fact.get("class"): fact for fact in mark.findall("desc")}
    label, n = (facts[kind].text if kind in facts else "" for kind in ("x_label", "value"))
    for fact in facts.values():
        mark.remove(fact)
    etree.SubElement(mark, "title").text = says(series, label, n)
