"""A counter that everybody sees, with server-sent events and the page that shows them.

    bustapi run examples/counter.py:app

Then open http://127.0.0.1:5000/ in two windows and press the button in one of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from bustapi import BustAPI, Channel, EventStream, last_event_id, sse

app = BustAPI(__name__)
#: With several processes make it a RedisChannel, and keep the count where all of them see it.
changes: Channel[int] = Channel()
state = {"count": 0}


@app.get("/")
def page() -> str:
    return PAGE


@app.post("/increase")
async def increase() -> dict[str, int]:
    state["count"] += 1
    changes.publish(state["count"])
    return {"count": state["count"]}


@app.get("/events")
async def events() -> EventStream:
    """Every change; a browser that comes back says which one it saw last, and misses none."""
    seen = last_event_id()

    async def each() -> AsyncIterator[bytes]:
        with changes.subscribe() as numbers:
            if seen is None or seen != str(state["count"]):
                yield sse(state, event="count", id=state["count"])
            async for number in numbers:
                yield sse({"count": number}, event="count", id=number)

    return EventStream(each(), retry=500)


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Counter</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto; text-align: center; color: #222 }
  output { display: block; font-size: 6rem; line-height: 1.2; font-variant-numeric: tabular-nums }
  button { font: inherit; padding: .5rem 1.5rem }
  #state { color: #777; font-size: .9rem }
</style>
<h1>Counter</h1>
<output id="count">…</output>
<p><button id="more">One more</button></p>
<p id="state">connecting</p>
<script>
  const show = text => { document.getElementById('state').textContent = text };
  const source = new EventSource('/events');
  const seen = [];
  source.onopen = () => show('connected');
  source.onerror = () => show(source.readyState === EventSource.CLOSED ? 'closed' : 'connecting again');
  source.addEventListener('count', event => {
    const count = JSON.parse(event.data).count;
    seen.push(event.lastEventId);
    document.getElementById('count').textContent = count;
  });
  document.getElementById('more').onclick = () => fetch('/increase', {method: 'POST'});
</script>
</html>
"""
