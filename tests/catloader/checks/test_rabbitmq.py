"""Wake-ups through RabbitMQ, if it is installed: the same code as with Valkey, over AMQP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from catloader.checks.broker import Broker, BrokerListener
from catloader.demo.client import until
from tests.support.rabbitmq import RabbitMq, rabbitmq
from tests.support.wake_up_counter import WakeUpCounter


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitMq]:
    with rabbitmq() as server:
        yield server


def test_a_task_wakes_every_checker_and_leaves_nothing_in_the_broker(
    server: RabbitMq, wake_ups: WakeUpCounter
) -> None:
    other = WakeUpCounter()
    listener = BrokerListener(Broker(server.url), other, retry_s=0.1)
    listener.start()
    assert other.wait_for_next()
    assert _queues(server) == 2
    assert Broker(server.url).send() == ""
    assert wake_ups.wait_for_next()
    assert other.wait_for_next()
    listener.close()
    assert Broker(server.url).send() == ""
    for _ in until(60, "The queue of the closed listener is still there"):
        if _queues(server) == 1:
            break


def _queues(server: RabbitMq) -> int:
    header, *queues = server.control("list_queues", "name").splitlines()
    assert header == "name"
    return len(queues)


def test_a_killed_broker_is_reported_in_one_sentence_and_its_successor_wakes_again(
    server: RabbitMq, wake_ups: WakeUpCounter
) -> None:
    server.kill()
    sentence = Broker(server.url).send()
    assert sentence.startswith("No checker was woken: The broker amqp://127.0.0.1:")
    assert "guest" not in sentence
    server.start()
    assert wake_ups.wait_for_next(), "after it has connected, a checker looks for photos that came meanwhile"
    assert Broker(server.url).send() == ""
    assert wake_ups.wait_for_next()


def test_a_task_that_a_broker_short_of_memory_does_not_accept_is_reported(server: RabbitMq) -> None:
    server.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        assert Broker(server.url, answer_s=0.5).send().startswith("No checker was woken: ")
    finally:
        server.control("set_vm_memory_high_watermark", "0.4")
