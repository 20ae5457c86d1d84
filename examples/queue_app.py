"""Work that survives a crash: Celery with Redis beside the application.

Start a worker with `celery -A queue_app:queue worker`, then this.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from bustapi import BustAPI

app = BustAPI(__name__)
url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
queue = Celery("queue_app", broker=url, backend=url)
# A task is taken from the queue when it is done, not when it is begun: a worker that dies does not lose it.
queue.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)


@queue.task(name="add")  # type: ignore[untyped-decorator]
def add(a: int, b: int) -> int:
    """Add two numbers, as an example of something that takes long."""
    return a + b


@app.post("/sums/<int:a>/<int:b>")
def begin(a: int, b: int) -> Any:
    """Put a sum into the queue."""
    return {"id": add.delay(a, b).id}, 202


@app.get("/sums/<id>")
def result(id: str) -> Any:
    """Say how far it is."""
    found = queue.AsyncResult(id)
    return {"state": found.state, "value": found.result if found.successful() else None}


if __name__ == "__main__":
    app.run()
