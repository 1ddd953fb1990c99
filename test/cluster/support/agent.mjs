// The caller of the cluster stories. It runs in a pod as `node agent.mjs` and does what JSON lines on its socket ask
// for; `node agent.mjs ask`
// joins standard input and output with that socket, so a test reaches it through exec, and a load goes on when exec
// (the API server) does not.
// Calls are made with node:http2 and no library, so that what a proxy answers is seen as it is: status, trailers,
// resets.
import { rm } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { grpcCall, Sessions } from './calls.mjs';
import { Load } from './load.mjs';
import { Poll } from './poll.mjs';

const SOCKET = process.env.AGENT_SOCKET ?? '/run/agent/agent.sock';
const MAX_BODY_OCTETS = 1 << 20;

const running = new Map();
let lastId = 0;

function start(task) {
  lastId++;
  running.set(lastId, task);
  return { task: lastId };
}

function taskOf(id) {
  const task = running.get(id);
  if (task === undefined) throw new Error(`no task ${id}`);
  return task;
}

function httpCall({ url, method = 'GET', headers = {}, timeoutMs = 5000 }) {
  return new Promise((resolve) => {
    const request = http.request(url, { method, headers, agent: false, timeout: timeoutMs }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text) => {
        if (body.length < MAX_BODY_OCTETS) body += text;
      });
      response.on('error', (error) => resolve({ error: error.code ?? error.message }));
      response.on('end', () => resolve({ status: response.statusCode, headers: pairs(response.rawHeaders), body }));
    });
    request.on('timeout', () => request.destroy(Object.assign(new Error('timeout'), { code: 'timeout' })));
    request.on('error', (error) => resolve({ error: error.code ?? error.message }));
    request.end();
  });
}

function pairs(raw) {
  const result = [];
  for (let i = 0; i < raw.length; i += 2) result.push([raw[i].toLowerCase(), raw[i + 1]]);
  return result;
}

/** Sends text over TCP, and gives what came back until the peer ended, `until` was seen, or the time is over. */
function tcpCall({ host, port, send = '', until, timeoutMs = 3000 }) {
  return new Promise((resolve) => {
    let received = '';
    const socket = net.connect({ host, port });
    const timer = setTimeout(() => finish({ timedOut: true }), timeoutMs);
    const finish = (extra) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ received, ...extra });
    };
    socket.on('connect', () => socket.write(send));
    socket.on('data', (chunk) => {
      if (received.length < MAX_BODY_OCTETS) received += chunk.toString('latin1');
      if (until !== undefined && received.includes(until)) finish({});
    });
    socket.on('end', () => finish({ ended: true }));
    socket.on('error', (error) => finish({ error: error.code ?? error.message }));
  });
}

const sessions = new Sessions();
const verbs = {
  grpc: async (order) => {
    const own = order.fresh === true ? new Sessions() : sessions;
    const result = await grpcCall(own.to(order.to, order.tls), order);
    if (order.fresh === true) own.close();
    return result;
  },
  /** Calls one after the other on the kept connection. */
  batch: async (order) => {
    const results = [];
    for (let i = 0; i < order.count; i++) results.push(await grpcCall(sessions.to(order.to, order.tls), order));
    return { results };
  },
  http: httpCall,
  tcp: tcpCall,
  load: async (order) => start(new Load(order)),
  poll: async (order) => start(new Poll(order)),
  look: async ({ task }) => taskOf(task).look(),
  expect: async ({ task, ...order }) => taskOf(task).expect(order),
  stop: async ({ task }) => {
    const result = await taskOf(task).stop();
    running.delete(task);
    return result;
  },
};

/** Answers each line of a stream. Unknown or failing orders are answered with `failure`, the agent goes on. */
function serve(socket) {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) void obey(JSON.parse(line)).then((answer) => socket.write(`${JSON.stringify(answer)}\n`));
  });
}

async function obey({ id, verb, ...order }) {
  try {
    const act = verbs[verb];
    if (act === undefined) throw new Error(`no verb ${verb}`);
    return { id, ...(await act(order)) };
  } catch (error) {
    return { id, failure: String(error?.stack ?? error) };
  }
}

async function main() {
  if (process.argv[2] === 'ask') {
    const socket = net.connect(SOCKET);
    process.stdin.pipe(socket);
    socket.pipe(process.stdout);
    socket.on('error', (error) => {
      console.error(`agent: ${error.message}`);
      process.exit(1);
    });
    socket.on('close', () => process.exit(0));
    return;
  }
  await rm(SOCKET, { force: true });
  net.createServer({ allowHalfOpen: true }, serve).listen(SOCKET);
  process.on('SIGTERM', () => process.exit(0));
}

await main();
