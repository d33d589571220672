"""Synapse's metrics, as its client library stores them."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from synapse_bgthrottle.homeserver.internals.synapse_metrics import ServerMetrics

REQUEST_LABELS = ("method", "servlet", "tag", "server_name")


def test_no_metrics() -> None:
    """What this version does not measure is unknown, not 0."""
    metrics = ServerMetrics(CollectorRegistry())
    assert (None, None, None) == (metrics.pool_wait(), metrics.ticks(), metrics.responses())


def test_pool_wait() -> None:
    """Sum and count, with a label for the server as in newer versions, and without."""
    for labels, values in (((), ()), (("server_name",), ("one.test",))):
        registry = CollectorRegistry()
        timer = Histogram("synapse_storage_schedule_time", "sec", labels, registry=registry)
        child = timer.labels(*values) if values else timer
        child.observe(0.5)
        child.observe(100.0)
        assert (100.5, 2) == ServerMetrics(registry).pool_wait()


def test_ticks() -> None:
    """A reactor that nobody measures has no turns: unknown."""
    registry = CollectorRegistry()
    ticks = Histogram("python_twisted_reactor_tick_time", "sec", registry=registry)
    metrics = ServerMetrics(registry)
    assert metrics.ticks() is None
    ticks.observe(0.25)
    assert (0.25, 1) == metrics.ticks()


def test_responses() -> None:
    """By servlet, whatever the method and the status; without long polls and looks at health."""
    registry = CollectorRegistry()
    timer = Histogram(
        "synapse_http_server_response_time_seconds",
        "sec",
        (*REQUEST_LABELS[:3], "code", REQUEST_LABELS[3]),
        registry=registry,
    )
    count = Counter("synapse_http_server_response_count", "", REQUEST_LABELS, registry=registry)
    for method, servlet, code, seconds in (
        ("GET", "ProfileRestServlet", "200", 0.5),
        ("GET", "ProfileRestServlet", "404", 0.25),
        ("PUT", "ProfileRestServlet", "200", 1.0),
        ("GET", "SyncRestServlet", "200", 30.0),
        ("GET", "HealthResource", "200", 0.125),
        ("GET", "MetricsResource", "200", 0.5),
        ("GET", "RoomMessageListRestServlet", "200", 0.125),
    ):
        timer.labels(method, servlet, "", code, "one.test").observe(seconds)
        count.labels(method, servlet, "", "one.test").inc()
    expected = {"ProfileRestServlet": (1.75, 3), "RoomMessageListRestServlet": (0.125, 1)}
    assert expected == ServerMetrics(registry).responses()
    assert 4 == ServerMetrics(registry).answered()


def test_another_client_library() -> None:
    """Where the private side is not what it was, the metrics are unknown."""
    registry = CollectorRegistry()
    timer = Histogram("synapse_storage_schedule_time", "sec", registry=registry)
    del timer._sum
    assert ServerMetrics(registry).pool_wait() is None
