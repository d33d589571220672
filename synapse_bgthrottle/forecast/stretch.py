"""A stretch of modelled time at one load, to see what the real decisions make of it.

The model's week peaks at `PEAK_PER_S` requests of the calibrated kinds, which keep a core half
busy: what one's own requests cost is not known, so a load is a share of that.
"""

import attrs

from synapse_bgthrottle.config import Config
from synapse_bgthrottle.limits import Adaptive, Limits, Settings
from synapse_bgthrottle.pacing import LONGEST_REST_S
from synapse_bgthrottle.state import Facts
from synapse_bgthrottle.throttle import Throttle
from synapse_bgthrottle.windows import Window
from testbed.simulation.loads import Load
from testbed.simulation.model import ClientsModel, ServerModel, Streams, UpdateModel
from testbed.simulation.presets import REALISTIC
from testbed.simulation.record import Batch, Record
from testbed.simulation.world import World

PEAK_PER_S = 15.0

# 1970-01-01 was a Thursday, so that this window is closed in a stretch that begins with it.
_CLOSED = (Window((0,), 0, 1),)

_FEWEST_BATCHES = 8
_MOST_STRETCH_S = 12 * LONGEST_REST_S
_LONGER = 5
_IDLE_S = 20.0


@attrs.frozen
class Lengths:
    """How long is simulated.

    Attributes:
        learn_s: at the first load, not measured: an adaptive pace learns from clients.
        settle_s: after each change of the load, not measured.
        measure_s: at each load.
    """

    learn_s: float = 60.0
    settle_s: float = 15.0
    measure_s: float = 60.0


@attrs.frozen
class Seen:
    """What a load made of the pace.

    Attributes:
        share: of the time in batches.
        items_per_batch_s: how quick batches were.
        latency_s: geometric mean of the requests' latencies; 0: there were none.
    """

    share: float
    items_per_batch_s: float
    latency_s: float


def run(
    limits: Limits,
    server: ServerModel,
    per_batch_s: float,
    loads: tuple[float, ...],
    streams: Streams,
    lengths: Lengths,
    *,
    is_let_go: bool = False,
) -> tuple[Seen, ...]:
    """What comes of each load (0 to 1), in one run that has one after the other.

    Args:
        limits: of the update; its windows and approvals count as open and given.
        server: the model.
        per_batch_s: items a second, in batches on an idle server.
        loads: of which the pace is wanted.
        streams: of chance.
        lengths: of the parts.
        is_let_go: whether it goes although windows are closed, as `max_hold` says.
    """
    update = _update(limits, per_batch_s)

    def world(clients: ClientsModel) -> World:
        return World(server, clients, streams, update, _throttle(limits, server, is_let_go))

    spans = _spans(loads, lengths)
    record = world(_clients(loads, spans)).run(spans[-1][1])
    seen = [_seen(record, span) for span in spans]
    if all(len(_within(record, span)) >= _FEWEST_BATCHES for span in spans):
        return tuple(seen)
    if isinstance(limits.pace, Adaptive) and any(loads):
        # Batches are rare, and their pace depends on the clients: it takes more of both.
        longer = _spans(loads, attrs.evolve(lengths, measure_s=lengths.measure_s * _LONGER))
        record = world(_clients(loads, longer)).run(longer[-1][1])
        shares = [_seen(record, span) for span in longer]
    else:
        # Here it does not, and without clients much time is soon simulated.
        nobody = ClientsModel(kinds=REALISTIC, load=Load(0.0, lambda now_s: 0.0))
        record = world(nobody).run(_MOST_STRETCH_S)
        shares = [_seen(record, (0.0, _MOST_STRETCH_S))] * len(spans)
    # Latencies are compared with those without an update in the same spans.
    return tuple(
        attrs.evolve(share, latency_s=each.latency_s)
        for share, each in zip(shares, seen, strict=True)
    )


def latencies(
    server: ServerModel, loads: tuple[float, ...], streams: Streams, lengths: Lengths
) -> tuple[float, ...]:
    """The geometric means of latency at each load while no update runs."""
    spans = _spans(loads, lengths)
    record = World(server, _clients(loads, spans), streams).run(spans[-1][1])
    return tuple(_seen(record, span).latency_s for span in spans)


def _throttle(limits: Limits, server: ServerModel, is_let_go: bool) -> Throttle:
    values = attrs.asdict(limits, recurse=False)
    values.update(windows=(), needs_approval=False)
    if is_let_go:
        values.update(windows=_CLOSED, max_hold_ms=0.0)
    facts = Facts(
        cores=round(server.cores),
        sees_requests=not server.clients_elsewhere,
        sqlite_databases=frozenset({"master"} if server.connections == 1 else ()),
    )
    return Throttle(Config(Settings(**values)), Settings(), facts)


def _update(limits: Limits, per_batch_s: float) -> UpdateModel:
    # Batches have a cost of their own, which a measured speed has in it.
    item_s = 1 / per_batch_s
    overhead_s = min(0.0015, 0.1 * limits.target_duration_ms / 1000)
    own = item_s * (1 - overhead_s / (limits.target_duration_ms / 1000))
    return UpdateModel(
        thread_s=own / 2,
        database_s=own / 2,
        overhead_thread_s=overhead_s / 3,
        overhead_database_s=overhead_s * 2 / 3,
    )


def _spans(loads: tuple[float, ...], lengths: Lengths) -> tuple[tuple[float, float], ...]:
    # The same whatever the pace, so that the same requests are compared.
    spans, now_s = [], 0.0
    for number, load in enumerate(loads):
        now_s += lengths.learn_s if load and not number else lengths.settle_s
        end_s = now_s + (lengths.measure_s if load else min(_IDLE_S, lengths.measure_s))
        spans.append((now_s, end_s))
        now_s = end_s
    return tuple(spans)


def _clients(loads: tuple[float, ...], spans: tuple[tuple[float, float], ...]) -> ClientsModel:
    def per_s(now_s: float) -> float:
        for load, (_, end_s) in zip(loads, spans, strict=True):
            if now_s < end_s:
                return load * PEAK_PER_S
        return loads[-1] * PEAK_PER_S

    return ClientsModel(kinds=REALISTIC, load=Load(max(loads) * PEAK_PER_S, per_s))


def _within(record: Record, span: tuple[float, float]) -> list[Batch]:
    return [batch for batch in record.batches if span[0] <= batch.begin_s < span[1]]


def _seen(record: Record, span: tuple[float, float]) -> Seen:
    batches = _within(record, span)
    latency_s = record.latencies(*span)
    if len(batches) < 2:
        return Seen(record.share_in_batches(*span), 0.0, latency_s.geometric_mean_s)
    # From start to start, so that whole batches and whole rests are counted.
    spent_s = sum(batch.took_s for batch in batches[:-1])
    items = sum(batch.items for batch in batches[:-1])
    passed_s = batches[-1].begin_s - batches[0].begin_s
    return Seen(spent_s / passed_s, items / spent_s, latency_s.geometric_mean_s)
