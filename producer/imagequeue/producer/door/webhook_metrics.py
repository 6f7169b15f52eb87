"""Figures about webhooks for Prometheus: what arrived, failed and waits. Labels are the configured endpoints' names."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from imagequeue.queue.webhook_health import WebhookHealth

LABELS = ("endpoint",)


class WebhookFigures:
    """One reading, in the form that the Prometheus library collects."""

    def __init__(self, health: WebhookHealth) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        outbox = self._health.outbox
        yield GaugeMetricFamily("imagequeue_webhooks_waiting", "Messages that have not arrived.", outbox.waiting)
        yield GaugeMetricFamily("imagequeue_webhooks_retrying", "Of these, failed before.", outbox.retrying)
        yield GaugeMetricFamily(
            "imagequeue_webhooks_overdue_seconds", "How late the oldest due message is.", outbox.overdue_seconds
        )
        for name in ("delivered", "failed", "given_up"):
            counter = CounterMetricFamily(f"imagequeue_webhooks_{name}", f"Deliveries {name}.", labels=LABELS)
            for endpoint, state in self._health.endpoints:
                counter.add_metric((endpoint.name,), getattr(state, name))
            yield counter
        disabled = GaugeMetricFamily("imagequeue_webhook_disabled", "1 while nothing is sent to it.", labels=LABELS)
        for endpoint, state in self._health.endpoints:
            disabled.add_metric((endpoint.name,), float(state.disabled))
        yield disabled
