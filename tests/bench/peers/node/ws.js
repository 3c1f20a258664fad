// `ws` behind Node's own HTTP server: one Redis subscription for each socket.
import { createServer } from "node:http";
import { createClient } from "redis";
import { WebSocketServer } from "ws";

const [port, redisPort] = process.argv.slice(2).map(Number);
const PING = 20_000; // ms

const redis = await createClient({ socket: { port: redisPort } }).connect();
const subscriber = await redis.duplicate().connect();

const server = createServer((request, response) => {
  const channel = `bench:${request.url.slice("/publish/".length)}`;
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => { body += chunk; });
  request.on("end", async () => {
    await redis.publish(channel, body);
    response.writeHead(202, { "content-length": 0 }).end();
  });
});

const sockets = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: 4096 });
sockets.on("connection", async (socket, request) => {
  const seat = request.url.slice("/ws/".length);
  const channel = `bench:${seat}`;
  const tell = (message) => socket.send(message);
  socket.on("close", () => subscriber.unsubscribe(channel, tell));
  socket.on("message", () => {});
  await subscriber.subscribe(channel, tell);
  socket.send(JSON.stringify({ type: "status", session_id: seat, seq: 1, status: "pending" }));
});

setInterval(() => { for (const socket of sockets.clients) socket.ping(); }, PING);
server.keepAliveTimeout = 60_000;
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
