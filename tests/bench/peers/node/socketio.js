// Socket.IO with its Redis adapter: one room for each socket.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, redisPort] = process.argv.slice(2).map(Number);
const PING = 20_000; // ms

const redis = await createClient({ socket: { port: redisPort } }).connect();
const subscriber = await redis.duplicate().connect();

const server = createServer();
const io = new Server(server, {
  adapter: createAdapter(redis, subscriber),
  transports: ["websocket"],
  pingInterval: PING,
  serveClient: false,
});
io.on("connection", async (socket) => {
  const { seat } = socket.handshake.query;
  await socket.join(seat);
  socket.emit("status", { type: "status", session_id: seat, seq: 1, status: "pending" });
});

// The adapter tells the other servers by Redis and its own sockets directly, as it would in production.
server.on("request", (request, response) => {
  if (!request.url.startsWith("/publish/")) return;
  const seat = request.url.slice("/publish/".length);
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => { body += chunk; });
  request.on("end", () => {
    io.to(seat).emit("status", JSON.parse(body));
    response.writeHead(202, { "content-length": 0 }).end();
  });
});

server.keepAliveTimeout = 60_000;
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
