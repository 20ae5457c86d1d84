"""A chat: rooms over WebSockets, with the page that uses them.

    bustapi run examples/chat.py:app

Then open http://127.0.0.1:5000/ in two windows. What is written in one room is seen by everybody in it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict

from bustapi import BustAPI, Channel, WebSocket

app = BustAPI(__name__)
#: One channel a room; with several processes make it a RedisChannel.
rooms: defaultdict[str, Channel[dict[str, object]]] = defaultdict(Channel)

LONGEST = 500


@app.get("/")
def page() -> str:
    return PAGE


@app.websocket("/rooms/<room>")
async def chat(ws: WebSocket, room: str) -> None:
    """Everything is JSON: the first message is a name, the others are what that name says."""
    await ws.accept()
    name = str(await ws.receive_json())[:30] or "somebody"
    channel = rooms[room]
    with channel.subscribe() as messages:
        channel.publish({"who": name, "does": "joins", "here": len(channel)})

        async def tell() -> None:
            async for message in messages:
                await ws.send_json(message)

        telling = asyncio.create_task(tell())
        try:
            async for text in ws.iter_json():
                channel.publish({"who": name, "says": str(text)[:LONGEST]})
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
    channel.publish({"who": name, "does": "leaves", "here": len(channel)})
    if not len(channel):
        rooms.pop(room, None)


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
  h1 { font-size: 1.3rem } form { display: flex; gap: .5rem; margin: 1rem 0 }
  input { font: inherit; padding: .4rem .6rem; flex: 1; min-width: 0; border: 1px solid #bbb; border-radius: 4px }
  button { font: inherit; padding: .4rem 1rem; border: 0; border-radius: 4px; background: #2457a5; color: #fff }
  #log { list-style: none; padding: .75rem 1rem; margin: 0; border: 1px solid #ddd; border-radius: 6px; min-height: 14rem }
  #log .note { color: #777; font-style: italic } #log b { color: #2457a5 }
</style>
<h1>Chat <small id="state">not connected</small></h1>
<form id="join">
  <input id="name" placeholder="Your name" maxlength="30" required>
  <input id="room" placeholder="Room" value="lobby" pattern="[A-Za-z0-9_-]+" required>
  <button>Join</button>
</form>
<ul id="log"></ul>
<form id="say" hidden><input id="text" placeholder="Say something" maxlength="500" autocomplete="off"><button>Send</button></form>
<script>
  const get = id => document.getElementById(id);
  let socket;
  function show(message) {
    const line = document.createElement("li");
    if (message.says !== undefined) {
      const who = document.createElement("b");
      who.textContent = message.who + ": ";
      line.append(who, message.says);
    } else {
      line.className = "note";
      line.textContent = `${message.who} ${message.does} (${message.here} here)`;
    }
    get("log").append(line);
  }
  get("join").addEventListener("submit", event => {
    event.preventDefault();
    if (socket) socket.close();
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/rooms/${encodeURIComponent(get("room").value)}`);
    socket.onopen = () => {
      socket.send(JSON.stringify(get("name").value));
      get("state").textContent = "connected";
      get("say").hidden = false;
      get("text").focus();
    };
    socket.onmessage = event => show(JSON.parse(event.data));
    socket.onclose = event => { get("state").textContent = `closed (${event.code})`; get("say").hidden = true; };
  });
  get("say").addEventListener("submit", event => {
    event.preventDefault();
    socket.send(JSON.stringify(get("text").value));
    get("text").value = "";
  });
</script>
"""

if __name__ == "__main__":
    app.run()
