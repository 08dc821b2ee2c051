"""Batches drawn ahead: the same ones, early, one at a time."""

from __future__ import annotations

import threading

import pytest
import torch

from CEKWorldLib.training.read_ahead import Draw, ReadAhead

FIRST = Draw(2, 3, 64, 0, 0, torch.device("cpu"))
SECOND = FIRST._replace(step=1)


class Source:
    """Gives the arguments back, and notes who asked for what."""

    def __init__(self) -> None:
        self.draws: list[tuple] = []
        self.drawn = threading.Semaphore(0)
        self.threads: set[str] = set()

    def draw(self, *arguments):
        self.threads.add(threading.current_thread().name)
        self.draws.append(arguments)
        self.drawn.release()
        if arguments[4] < 0:
            raise OSError("no such slice")
        return arguments


@pytest.fixture
def source():
    return Source()


def test_a_batch_that_was_begun_is_drawn_before_it_is_asked_for_and_only_once(source):
    with ReadAhead(source) as ahead:
        assert ahead.draw(*FIRST) == FIRST
        ahead.begin(SECOND)
        for _ in range(2):
            assert source.drawn.acquire(timeout=10)
        assert ahead.draw(*SECOND) == SECOND
    assert source.draws == [FIRST, SECOND]


def test_another_batch_than_the_one_begun_is_what_was_asked_for(source):
    """After a return to a checkpoint."""
    other = SECOND._replace(seed=7919)
    with ReadAhead(source) as ahead:
        ahead.begin(SECOND)
        assert ahead.draw(*other) == other


def test_a_batch_in_between_leaves_the_one_begun_ready(source):
    """As sample sheets draw theirs."""
    sheet = FIRST._replace(seed=2026)
    with ReadAhead(source) as ahead:
        ahead.begin(SECOND)
        assert ahead.draw(*sheet) == sheet and ahead.draw(*SECOND) == SECOND
    assert source.draws == [SECOND, sheet]


def test_one_thread_draws_everything_and_ends_with_the_context(source):
    with ReadAhead(source) as ahead:
        ahead.begin(FIRST)
        for step in range(4):
            ahead.draw(*FIRST._replace(step=step))
    assert len(source.threads) == 1 and source.threads.isdisjoint(t.name for t in threading.enumerate())


def test_what_the_source_raises_is_raised_where_the_batch_is_asked_for(source):
    with ReadAhead(source) as ahead:
        ahead.begin(FIRST._replace(step=-1))
        with pytest.raises(OSError, match="no such slice"):
            ahead.draw(*FIRST._replace(step=-1))
