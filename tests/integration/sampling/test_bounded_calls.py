"""Calls with a time limit: their number, their limit, and what happens after it."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from synapse.module_api import run_in_background
from twisted.internet.defer import CancelledError, Deferred

from synapse_bgthrottle.homeserver.internals.bounded_calls import (
    MOST_OVERDUE,
    BoundedCalls,
    Call,
    ServerEndsError,
    questions,
)
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from testbed.virtual.server import VirtualServer

MakeServer = Callable[..., VirtualServer]


class Asked:
    """What is called: each call answers when it is told to, and tells how it ended."""

    def __init__(self, server: VirtualServer) -> None:
        self.server = server
        self.waiting: list[Deferred[str]] = []
        self.ended: list[str] = []
        self.answers: list[Any] = []

    async def call(self, *arguments: str) -> str:
        waiter: Deferred[str] = Deferred()
        self.waiting.append(waiter)
        try:
            answer = await waiter
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append(answer)
        return " ".join((answer, *arguments))

    def wait_for(
        self, answer: Coroutine[Any, Any, Any], until_s: float | None = 0.0
    ) -> Deferred[None]:
        """From now on, until there is an answer or an error, which `answers` gets.

        Time passes until then; None: not even so much that the call begins.
        """

        async def wait() -> None:
            try:
                self.answers.append(await answer)
            except Exception as error:
                self.answers.append(error)

        waiting: Deferred[None] = run_in_background(wait)
        if until_s is not None:
            self.server.advance(until_s)
        return waiting

    def told(self) -> list[str]:
        return [str(answer) for answer in self.answers]


@pytest.fixture
def asked(virtual_server: MakeServer) -> Asked:
    """On a virtual server."""
    return Asked(virtual_server())


def host(asked: Asked) -> Homeserver:
    return Homeserver(asked.server.api)


def timers(asked: Asked) -> int:
    return len(asked.server.clock.reactor.getDelayedCalls())


@pytest.mark.parametrize("cancels", [False, True])
def test_an_answer_in_time(asked: Asked, cancels: bool) -> None:
    """Is the function's; no timer is left."""
    calls = BoundedCalls(host(asked), "a_process", cancels=cancels)
    asked.wait_for(calls.within(2.0, "a name", asked.call, "with", "arguments"))
    asked.server.advance(1.9)
    assert [] == asked.answers
    asked.waiting[0].callback("yes")
    assert (["yes with arguments"], 0) == (asked.answers, timers(asked))
    assert [] == asked.server.failures


@pytest.mark.parametrize("cancels", [False, True])
def test_an_error_in_time(asked: Asked, cancels: bool) -> None:
    """Is the function's, and nobody else is told of it."""
    calls = BoundedCalls(host(asked), "a_process", cancels=cancels)
    asked.wait_for(calls.within(2.0, "a name", asked.call))
    asked.waiting[0].errback(ZeroDivisionError("wrong"))
    assert (["wrong"], 0, []) == (asked.told(), timers(asked), asked.server.failures)


def test_no_answer_in_time(asked: Asked) -> None:
    """It goes on to its end, and is not begun again before."""
    calls = BoundedCalls(host(asked), "a_process")
    asked.wait_for(calls.within(2.0, "a name", asked.call))
    asked.server.advance(2.0)
    asked.wait_for(calls.within(2.0, "a name", asked.call))
    asked.wait_for(calls.within(2.0, "another", asked.call))
    assert 2 == len(asked.waiting)
    asked.waiting[0].callback("late")
    assert ["late"] == asked.ended
    asked.wait_for(calls.within(2.0, "a name", asked.call))
    asked.waiting[2].callback("again")
    assert ["no answer within 2 s", "no answer to 1 earlier question", "again"] == asked.told()
    assert [] == asked.server.failures


def test_a_question_without_an_answer_is_cancelled(asked: Asked) -> None:
    """Nobody is told of that but who waited."""
    asked.wait_for(questions(host(asked)).within(2.0, "a name", asked.call))
    asked.server.advance(2.0)
    assert (["no answer within 2 s"], ["CancelledError"]) == (asked.told(), asked.ended)
    assert (0, []) == (timers(asked), asked.server.failures)


def test_what_ends_later_than_it_is_cancelled(asked: Asked) -> None:
    """Counts as overdue until then, as a transaction that the database does not let go."""

    async def hangs() -> str:
        try:
            return await asked.call()
        except CancelledError:
            return await asked.call()

    calls = questions(host(asked))
    for _ in range(MOST_OVERDUE + 1):
        asked.wait_for(calls.within(2.0, "a name", hangs))
        asked.server.advance(2.0)
    assert ["no answer within 2 s"] * MOST_OVERDUE == asked.told()[:-1]
    assert f"no answer to {MOST_OVERDUE} earlier questions" == asked.told()[-1]
    asked.waiting[-1].callback("at last")
    asked.wait_for(calls.within(2.0, "a name", asked.call))
    asked.waiting[-1].callback("yes")
    assert "yes" == asked.told()[-1]
    assert [] == asked.server.failures


@pytest.mark.parametrize(("cancels", "ended"), [(False, []), (True, ["CancelledError"])])
def test_who_waits_is_cancelled(asked: Asked, cancels: bool, ended: list[str]) -> None:
    """As at a shutdown: it is as if the time were over."""
    calls = BoundedCalls(host(asked), "a_process", cancels=cancels)
    waiting = asked.wait_for(calls.within(2.0, "a name", asked.call))
    waiting.cancel()
    assert ([CancelledError], ended) == ([type(error) for error in asked.answers], asked.ended)
    assert (0, []) == (timers(asked), asked.server.failures)


def test_what_is_cancelled_before_it_began(asked: Asked) -> None:
    """Is not begun any more."""
    calls = BoundedCalls(host(asked), "a_process", cancels=True)
    asked.wait_for(calls.within(2.0, "a name", asked.call), until_s=None).cancel()
    asked.server.advance(5)
    assert ([], []) == (asked.waiting, asked.server.failures)


def test_an_answer_for_who_comes_later(asked: Asked) -> None:
    """A call that was left may be waited for again, and its answer is kept."""
    call: Call[str] = Call(host(asked), "a_process", asked.call)
    asked.wait_for(call.within(1.0))
    asked.server.advance(1.0)
    asked.wait_for(call.within(1.0))
    asked.server.advance(0.5)
    asked.waiting[0].callback("yes")
    asked.wait_for(call.within(1.0))
    assert ["no answer within 1 s", "yes", "yes"] == asked.told()
    assert call.has_ended


def test_the_process_is_cancelled(asked: Asked) -> None:
    """By a server that ends: nobody waits for an answer that does not come."""
    call: Call[str] = Call(host(asked), "a_process", asked.call)
    asked.wait_for(call.within(1.0))
    asked.waiting[0].cancel()
    assert (["it was cancelled"], 0) == (asked.told(), timers(asked))
    asked.wait_for(call.within(1.0))
    assert ["it was cancelled"] * 2 == asked.told()


def test_a_server_that_ends(asked: Asked) -> None:
    """Nothing is begun."""

    def refuse(*_: Any, **__: Any) -> Awaitable[None]:
        raise RuntimeError("the reactor ends")

    asked.server.api.delayed_background_call = refuse
    with pytest.raises(ServerEndsError):
        Call(host(asked), "a_process", asked.call)
    assert [] == asked.waiting
