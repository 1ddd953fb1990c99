// `weft trace` against a real Jaeger: what a collector was sent, drawn as text.
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { runProgram } from '#cli/program.ts';
import { goTool } from '#test/support/go-tools.ts';
import { type Jaeger, startJaeger } from '#test/support/jaeger.ts';
import { neededBy } from '#test/support/needed.ts';

async function weft(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const into = (where: 'out' | 'err') =>
    new Writable({
      write(chunk, _, done) {
        said[where] += chunk;
        done();
      },
    });
  const code = await runProgram(words, { stdout: into('out'), stderr: into('err'), env: {} });
  return { code, ...said };
}

const TRACE = '00000000000000004bf92f3577b34da6';
const CLIENT_KIND = 3;
const SERVER_KIND = 2;

interface Span {
  spanId: string;
  parentSpanId?: string;
  kind: number;
  atMs: number;
  ms: number;
  attributes: Record<string, string | number>;
  error?: string;
  events?: { name: string; atMs: number; attributes: Record<string, string | number> }[];
}

const attributesOf = (attributes: Record<string, string | number>) =>
  Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : { intValue: value },
  }));

/** OTLP's own JSON. */
function otlp(service: string, beginMs: number, spans: readonly Span[]): string {
  const nanos = (ms: number) => `${Math.round((beginMs + ms) * 1e3)}000`;
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributesOf({ 'service.name': service }) },
        scopeSpans: [
          {
            spans: spans.map(({ spanId, parentSpanId, kind, atMs, ms, attributes, error, events = [] }) => ({
              traceId: TRACE,
              spanId,
              parentSpanId,
              name: 'payment.PaymentService/Charge',
              kind,
              startTimeUnixNano: nanos(atMs),
              endTimeUnixNano: nanos(atMs + ms),
              attributes: attributesOf(attributes),
              events: events.map((event) => ({
                name: event.name,
                timeUnixNano: nanos(event.atMs),
                attributes: attributesOf(event.attributes),
              })),
              status: error === undefined ? {} : { code: 2, message: error },
            })),
          },
        ],
      },
    ],
  });
}

describe('weft trace', function () {
  this.timeout(60_000);
  let jaeger: Jaeger | null = null;

  before(async function () {
    neededBy(this, await goTool('jaeger'));
    jaeger = await startJaeger();
  });
  after(() => jaeger?.stop());

  it('draws what Jaeger has of a call, and says so when it has nothing', async () => {
    const { otlpUrl, queryUrl } = jaeger!;
    const nothing = await weft('trace', TRACE, '--jaeger', queryUrl);
    expect(nothing.code).to.equal(1);
    expect(nothing.err).to.match(/^weft: Jaeger at \S+ has no trace 00000000000000004bf92f3577b34da6\n/);

    const beginMs = Date.now();
    const client: Span = {
      spanId: 'aa00000000000001',
      kind: CLIENT_KIND,
      atMs: 0,
      ms: 40,
      attributes: {
        'rpc.status_code': 'UNAVAILABLE',
        'weft.direction': 'outbound',
        'weft.route': 'GRPCRoute/shop/payment',
        'weft.rule': 'charge',
        'weft.backend': 'shop/payment-v2:8080',
        'weft.pod': 'shop/payment-v2-abc',
        'weft.error': '\u001b[2Jconnection_lost',
      },
      error: 'the endpoint went away',
      events: [{ name: 'retry', atMs: 10, attributes: { reason: 'refused' } }],
    };
    const server: Span = {
      spanId: 'bb00000000000001',
      parentSpanId: 'aa00000000000001',
      kind: SERVER_KIND,
      atMs: 20,
      ms: 10,
      attributes: { 'rpc.grpc.status_code': 0, 'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/checkout' },
    };
    for (const body of [otlp('payment', beginMs, [server]), otlp('checkout', beginMs, [client])]) {
      const { status } = await fetch(`${otlpUrl}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      expect(status).to.equal(200);
    }
    while ((await jaeger!.trace(TRACE))?.spans.length !== 2);

    // Jaeger's pages leave zeros at the beginning of an id out.
    const { code, out } = await weft('trace', TRACE.replace(/^0+/, ''), '--jaeger', queryUrl);
    expect(code).to.equal(0);
    const [head, , first, ...rest] = out.trimEnd().split('\n');
    expect(head).to.match(new RegExp(`^trace ${TRACE}  40\\.0 ms  2 spans  2\\d{3}-`));
    expect(first).to.match(/^checkout {2}payment\.PaymentService\/Charge +█{40,} +40\.0 ms {2}UNAVAILABLE$/);
    expect(rest.map((line) => line.trimEnd())).to.deep.include.members([
      '│  client  GRPCRoute/shop/payment rule charge → shop/payment-v2:8080, pod shop/payment-v2-abc',
      '│  ! \\u{1b}[2Jconnection_lost: the endpoint went away',
      '│  +10.0 ms retry  reason=refused',
    ]);
    expect(rest.join('\n')).to.match(/\n└─ payment {2}payment\.PaymentService\/Charge {20,}█+[▉-▏]? +10\.0 ms {2}OK\n {6}peer spiffe:/);
  });
});
