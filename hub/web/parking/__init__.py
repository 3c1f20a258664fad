"""Parked sockets: WebSockets that only wait, at two kilobytes apiece instead of thirty.

Nearly all sockets of the hub wait, for minutes, to be told one thing. As an ASGI conversation each of them
costs a task, a queue, a parser, the handshake's scope and headers, and timers. So the hub's own server offers
an ASGI extension, by which an application hands a socket over once it is open:

`scope["extensions"]["hub.park"]["park"](occupant) -> line`

- It may be called once, after `websocket.accept` was sent, and instead of any further `receive` or `send`.
  The application's coroutine should then return; that does not close the socket.
- From then on the server reads. It calls `occupant.take(text)` for each message, in a task of the message's
  own, one at a time; `occupant.resumed()` when a stalled reader has caught up; `occupant.ended()` at the end.
- The application sends and closes by the *line*, which never waits; both are described in `hub.web.line`.
- Pings, pongs, fragments, limits, the closing handshake and a reader that stalls are the server's business.

`protocol` is uvicorn's protocol with the extension, `socket` what takes its place, `frames` the wire format,
and `lot` what all parked sockets of a server share: the sweep that pings them, and their time limits.
"""
