"""The numbers of this process and of the queue, for Prometheus to scrape."""

from collections.abc import Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mailengine import __version__
from mailengine.domain.delivery.tally import SECONDS, Timings
from mailengine.domain.reports.queue import QueueFigures
from mailengine.runtime import Runtime
from mailengine.web.condition import database_problem, figures_of
from mailengine.web.pulse import Pulse

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Numbers(Collector):
    """What was found at the time of the scrape."""

    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Sequence[Metric]:
        return self._found


async def scrape(rt: Runtime, pulse: Pulse) -> bytes:
    """Everything; a database that does not answer leaves the queue's figures out, and `mailengine_up` says so."""
    problem = await database_problem(rt)
    up = GaugeMetricFamily("mailengine_up", "1 when the database answers", value=0 if problem else 1)
    queue = [] if problem else _of_queue(await figures_of(rt))
    registry = CollectorRegistry()
    registry.register(_Numbers([up, *queue, *_of_process(rt, pulse)]))
    return generate_latest(registry)


def _of_queue(figures: QueueFigures) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("mailengine_queue_messages", "messages that wait to be sent", labels=["lane"])
    waiting.add_metric(["campaign"], figures.campaign_messages)
    waiting.add_metric(["transactional"], figures.transactional_messages)
    yield waiting
    yield GaugeMetricFamily(
        "mailengine_queue_oldest_due_seconds",
        "how long the oldest message could have been sent already",
        value=figures.oldest_due_seconds,
    )
    campaigns = GaugeMetricFamily("mailengine_campaigns", "campaigns under way", labels=["state"])
    for state, count in sorted(figures.campaigns.items()):
        campaigns.add_metric([state], count)
    yield campaigns
    jobs = GaugeMetricFamily("mailengine_jobs", "long work that is not done", labels=["kind", "state"])
    for labels, count in sorted(figures.jobs.items()):
        jobs.add_metric(labels, count)
    yield jobs


def _of_process(rt: Runtime, pulse: Pulse) -> Iterator[Metric]:
    tally, hits = pulse.tally, pulse.hits
    yield InfoMetricFamily("mailengine_build", "what runs", value={"version": __version__})
    yield GaugeMetricFamily("mailengine_worker_processes", "processes that send", value=pulse.workers)
    results = CounterMetricFamily(
        "mailengine_messages", "what became of messages", labels=["result", "provider", "code"]
    )
    for labels, count in sorted(tally.results.items()):
        results.add_metric(labels, count)
    yield results
    yield CounterMetricFamily("mailengine_claimed", "messages taken from the queue", value=tally.claimed)
    yield _histogram("mailengine_reply_seconds", "from a message's end to the server's reply", tally.answers)
    yield _histogram("mailengine_claim_seconds", "taking a batch from the queue", tally.claims)
    yield GaugeMetricFamily("mailengine_hits_waiting", "opens and clicks not yet stored", value=len(hits))
    yield CounterMetricFamily("mailengine_hits", "opens and clicks that came in", value=hits.accepted)
    yield CounterMetricFamily("mailengine_hits_dropped", "lost to a full buffer", value=hits.dropped)
    yield _pools(rt)


def _histogram(name: str, said: str, timings: Timings) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*map(str, SECONDS), "+Inf"), timings.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(name, said, buckets=buckets, sum_value=timings.total_seconds)


def _pools(rt: Runtime) -> Metric:
    used = GaugeMetricFamily(
        "mailengine_db_connections_in_use", "connections of this process to the database", labels=["pool"]
    )
    for name, engine in (("reader", rt.db.reader), ("writer", rt.db.writer)):
        checked_out = getattr(engine.pool, "checkedout", None)  # pools of other kinds do not count
        if checked_out is not None:
            used.add_metric([name], checked_out())
    return used
