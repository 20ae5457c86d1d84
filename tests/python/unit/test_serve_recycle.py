"""When a worker has used up what it may use."""

from __future__ import annotations

import pytest

from bustapi.serve.recycle import SPENT_MEMORY, SPENT_REQUESTS, Quota, resident_memory
from bustapi.serve.settings import Settings


def test_nothing_is_bounded_by_default() -> None:
    assert Quota.of(Settings()) is None


def test_requests_are_counted() -> None:
    quota = Quota.of(Settings(max_requests=10, recycle_jitter=0.0))
    assert quota is not None
    assert quota.spent(9) is None
    assert quota.spent(10) == SPENT_REQUESTS


def test_memory_is_measured() -> None:
    now = resident_memory()
    assert 1 << 20 < now < 1 << 40
    assert Quota(None, now // 2, 0.0).spent(0) == SPENT_MEMORY
    assert Quota(None, now * 4, 0.0).spent(1 << 40) is None


@pytest.mark.parametrize("jitter", [0.1, 1.0])
def test_the_jitter_takes_off_and_never_adds(jitter: float) -> None:
    bounds = [Quota(1000, 1 << 30, jitter) for _ in range(200)]
    requests = [quota.requests for quota in bounds if quota.requests is not None]
    assert len(requests) == 200
    assert max(requests) <= 1000
    assert min(requests) >= max(1, 1000 * (1 - jitter) - 1)
    assert len(set(requests)) > 20
    assert all(quota.rss is not None and quota.rss <= 1 << 30 for quota in bounds)
