"""How a panel of the dashboard is drawn: one function for each kind."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "text"
DASHED = {"fill": "dash", "dash": [6, 4]}

Query = tuple[str, str]  # expression, legend
Limit = tuple[float | None, str]  # a colour from this value on; None: from the lowest


def target(expression: str, legend: str, ref_id: str) -> prometheus.Dataquery:
    """One query."""
    query = prometheus.Dataquery().expr(" ".join(expression.split())).legend_format(legend).ref_id(ref_id)
    return query.range().editor_mode("code")


def ask(panel: Any, *queries: Query) -> Any:
    """Give a panel its data source and its queries, lettered from A."""
    panel.datasource(SOURCE)
    for number, (expression, legend) in enumerate(queries):
        panel.with_target(target(expression, legend, chr(ord("A") + number)))
    return panel


def number(title: str, healthy: str, unit: str, query: Query, *limits: Limit) -> stat.Panel:
    """The last value, coloured by where it stands."""
    colours = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(*limit) for limit in limits])
    panel = stat.Panel().title(title).description(healthy).unit(unit).thresholds(colours).height(4).span(4)
    panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)).color_mode(BigValueColorMode.VALUE)
    panel.graph_mode(BigValueGraphMode.AREA).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return ask(panel, query)


def curves(title: str, healthy: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Lines over time."""
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    panel = timeseries.Panel().title(title).description(healthy).unit(unit).span(8).height(8)
    if unit != "none":
        panel.axis_soft_min(0)  # a count, a share or a time is seen from 0; a sensor's values and decades are not
    panel.legend(legend.show_legend(True)).tooltip(tooltip).line_width(1).fill_opacity(5)
    return ask(panel.show_points(VisibilityMode.NEVER), *queries)


def stacked(title: str, healthy: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Areas over time, one upon the other."""
    panel = curves(title, healthy, unit, *queries).fill_opacity(40)
    return panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))


def bars(title: str, healthy: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Counts over time, one upon the other."""
    return stacked(title, healthy, unit, *queries).draw_style(GraphDrawStyle.BARS).fill_opacity(60)


def states(title: str, healthy: str, query: Query) -> statetimeline.Panel:
    """A lane for each series: calm, or in an incident."""
    named = {"0": ValueMappingResult("calm", GREEN, None, 0), "1": ValueMappingResult("incident", RED, None, 1)}
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = statetimeline.Panel().title(title).description(healthy).span(12).height(8).mappings([ValueMap(named)])
    panel.show_value(VisibilityMode.NEVER).row_height(0.8).legend(legend.show_legend(False))
    panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(GREY))
    return ask(panel, query)


def facts(title: str, healthy: str, expression: str) -> table.Panel:
    """A table of labels."""
    panel = table.Panel().title(title).description(healthy).span(24).height(5).datasource(SOURCE)
    return panel.with_target(target(expression, "", "A").instant().format(PromQueryFormat.TABLE))


def style(panel: timeseries.Panel, name: str, **properties: Any) -> None:
    """Draw the line of this name in its own way; `line_width=0` is the property custom.lineWidth."""
    values = []
    for each, value in properties.items():
        first, *rest = each.split("_")
        key = first + "".join(word.capitalize() for word in rest)
        if key == "color":
            values.append(DynamicConfigValue("color", {"mode": "fixed", "fixedColor": value}))
        else:
            values.append(DynamicConfigValue(f"custom.{key}", value))
    panel.override_by_name(name, values)


def variable(name: str, label: str, query: str, *, many: bool) -> dashboard.QueryVariable:
    """A choice among label values; with many there is an `All`."""
    choice = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
    choice.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    if not many:
        return choice
    everything = VariableOption(selected=True, text=["All"], value=["$__all"])
    return choice.multi(True).include_all(True).all_value(".+").current(everything)


def mark(name: str, expression: str, colour: str, title: str, text: str) -> dashboard.AnnotationQuery:
    """Marks over all panels while the expression has an answer."""
    marks = dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour)
    query = prometheus.Dataquery().expr(expression).interval("15s").ref_id("Anno")
    return marks.target(query).title_format(title).text_format(text)
