"""Metrics in the form that the Prometheus library collects, from rows of label values and figures. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from imagequeue.queue.measured import Histogram
from imagequeue.queue.measures import Measure

Row = tuple[tuple[str, ...], float]


def gauge(name: str, help_text: str, rows: Iterable[Row], labels: Sequence[str] = ()) -> Metric:
    """Return a gauge."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, figure in rows:
        family.add_metric(values, figure)
    return family


def single(name: str, help_text: str, figure: float) -> Metric:
    """Return a gauge without labels."""
    return gauge(name, help_text, [((), figure)])


def counter(name: str, help_text: str, rows: Iterable[Row], labels: Sequence[str] = ()) -> Metric:
    """Return a counter; its samples end in `_total`."""
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, figure in rows:
        family.add_metric(values, figure)
    return family


def histogram(measure: Measure, found: Mapping[tuple[str, ...], Histogram]) -> Metric:
    """Return a histogram; the counts of its buckets are added up as Prometheus wants them."""
    family = HistogramMetricFamily(measure.name, measure.help, labels=measure.labels)
    bounds = [*map(str, measure.bounds), "+Inf"]
    for values, one in found.items():
        total, buckets = 0, []
        for bound, count in zip(bounds, one.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family.add_metric(values, buckets, one.sum_seconds)
    return family
