"""Wake-ups through Celery's messages, with a real broker."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from celery import Celery
from kombu.common import Broadcast
from kombu.entity import Exchange
from kombu.message import Message

from catloader.checks.broker import EXCHANGE, TASK, Broker, BrokerListener
from catloader.checks.dispatch import InBackground
from catloader.demo.client import free_port, until
from tests.support.broker import BrokerServer, broker_server
from tests.support.wake_up_counter import WakeUpCounter


@pytest.fixture
def server() -> Iterator[BrokerServer]:
    with broker_server() as server:
        yield server


def test_a_task_wakes_every_checker_that_listens(server: BrokerServer, wake_ups: WakeUpCounter) -> None:
    other = WakeUpCounter()
    listener = BrokerListener(Broker(server.url), other, retry_s=0.1)
    listener.start()
    assert other.wait_for_next()
    assert Broker(server.url).send() == ""
    assert wake_ups.wait_for_next()
    assert other.wait_for_next()
    listener.close()


def test_a_burst_of_uploads_sends_few_tasks_and_wakes_few_times(
    server: BrokerServer, wake_ups: WakeUpCounter
) -> None:
    broker, gate = Broker(server.url), threading.Event()

    def send() -> str:
        assert gate.wait(60)
        return broker.send()

    dispatcher = InBackground(send, retry_s=0.1)
    begun_s = time.monotonic()
    for _ in range(1000):
        dispatcher.wake()
    assert time.monotonic() - begun_s < 30, "wake() must not wait for the broker"
    gate.set()
    assert wake_ups.wait_for_next()
    while wake_ups.wait_for_next(timeout_s=0.5):
        pass
    dispatcher.close()
    assert wake_ups.count < 100


def test_tasks_without_a_listener_leave_nothing_in_the_broker(server: BrokerServer) -> None:
    for _ in range(3):
        assert Broker(server.url).send() == ""
    assert server.keys() == []


def test_a_listener_reconnects_to_a_restarted_broker(server: BrokerServer, wake_ups: WakeUpCounter) -> None:
    dispatcher = InBackground(Broker(server.url).send, retry_s=0.1)
    server.stop()
    dispatcher.wake()
    assert not wake_ups.wait_for_next(timeout_s=0.3)
    server.start()
    assert wake_ups.wait_for_next(), "after it has connected, a checker looks for photos that came meanwhile"
    dispatcher.wake()
    assert wake_ups.wait_for_next()
    dispatcher.close()


def test_any_celery_application_can_wake_the_checkers(server: BrokerServer, wake_ups: WakeUpCounter) -> None:
    app = Celery(broker=server.url, set_as_current=False)
    fanout = Exchange(EXCHANGE, type="fanout")  # type: ignore[no-untyped-call]
    app.send_task(TASK, exchange=EXCHANGE, exchange_type="fanout", routing_key="", declare=[fanout])
    assert wake_ups.wait_for_next()


def test_a_task_has_celerys_format_and_no_payload(server: BrokerServer) -> None:
    messages: list[Message] = []
    broker = Broker(server.url)
    queue = Broadcast(EXCHANGE, exchange=broker.exchange)  # type: ignore[no-untyped-call]
    with broker.connection() as connection, connection.Consumer(queue, on_message=messages.append):
        for _ in until(60, "Nobody has subscribed"):
            with contextlib.suppress(TimeoutError):
                connection.drain_events(timeout=0.1)
            if server.is_listened_to():
                break
        assert broker.send() == ""
        connection.drain_events(timeout=60)
    (message,) = messages
    assert message.headers["task"] == TASK
    arguments, keywords, _ = json.loads(message.body)
    assert (message.content_type, arguments, keywords) == ("application/json", [], {})


def test_the_environment_of_another_celery_application_does_not_matter(
    server: BrokerServer, wake_ups: WakeUpCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CELERY_CONFIG_MODULE", "CELERY_LOADER", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "nothing.of:this://")
    assert Broker(server.url).send() == ""
    assert wake_ups.wait_for_next()


def test_an_unavailable_broker_is_reported_in_one_sentence_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    broker = Broker(f"redis://:secret@127.0.0.1:{port}/0")
    sentence = broker.send()
    assert sentence.startswith(
        f"No checker was woken: The broker redis://127.0.0.1:{port}/0 does not answer: "
    )
    assert "secret" not in sentence
    assert "\n" not in sentence


def test_an_unavailable_broker_is_logged_once_a_minute_however_often_it_is_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as away, caplog.at_level(logging.WARNING):
        broker = Broker(f"redis://127.0.0.1:{away.getsockname()[1]}/0")
        listener = BrokerListener(broker, lambda: None, retry_s=0.01)
        listener.start()
        for _ in range(8):
            away.accept()[0].close()
        listener.close()
    assert len(caplog.records) == 1


def test_a_hanging_broker_costs_a_thread_only_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = Broker(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", answer_s=0.2)
        begun_s = time.monotonic()
        assert "does not answer" in broker.send()
        assert time.monotonic() - begun_s < 60
