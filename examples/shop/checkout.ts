// The checkout service: a load generator that calls all three methods of payment, at rates from its environment.
import { create } from '@bufbuild/protobuf';
import { type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { type ChargeRequest, ChargeRequestSchema, type ChargeResponse, HistoryRequestSchema } from './gen/payment/payment_pb.ts';
import { PaymentClient } from './service.ts';

const env = process.env;
const target = `${env.PAYMENT_SERVICE_HOST}:${env.PAYMENT_SERVICE_PORT}`;
const TICK_MS = 20;
const DEADLINE_MS = 5000;
// More calls than this waiting at once means that payment is stuck: calling on would only fill the memory.
const IN_FLIGHT_MAX = 500;
// Kubernetes starts all Deployments at once: payment may have no ready pod yet.
const FIRST_ANSWER_PAUSE_MS = 500;
const FIRST_ANSWER_ATTEMPTS = 120;

const client = new PaymentClient(target, credentials.createInsecure());
const outcomes = new Map<string, number>();
let inFlight = 0;
let orders = 0;

const headers = (values: Record<string, string> = {}): Metadata => Metadata.fromHttp2Headers(values);
const deadline = () => ({ deadline: Date.now() + DEADLINE_MS });
const order = (): ChargeRequest => create(ChargeRequestSchema, { order: `order-${++orders}`, cents: 1 + (orders % 9999) });

function finish(method: string, error: ServiceError | null, version: string): void {
  inFlight--;
  const outcome = `${method} ${error ? `failed: ${error.code} ${error.details}` : version}`;
  // Details of errors are free text: the table of outcomes stays small.
  if (outcomes.size < 50 || outcomes.has(outcome)) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}

function charge(metadata: Metadata): void {
  client.charge(order(), metadata, deadline(), (error: ServiceError | null, response?: ChargeResponse) =>
    finish('Charge', error, response?.version ?? ''),
  );
}

function stream(method: string, call: ClientReadableStream<ChargeResponse>): void {
  let version = '';
  call.on('data', (response: ChargeResponse) => {
    version = response.version;
  });
  call.on('error', (error: ServiceError) => finish(method, error, version));
  call.on('end', () => {});
  call.on('status', (status: { code: number }) => {
    if (status.code === 0) finish(method, null, version);
  });
}

function reconcile(): void {
  const call = client.reconcile(headers(), deadline());
  stream('Reconcile', call);
  for (let i = 0; i < 5; i++) call.write(order());
  call.end();
}

const load = [
  { perSecond: Number(env.CHARGE_PER_SECOND ?? 200), due: 0, call: () => charge(headers()) },
  { perSecond: Number(env.CHARGE_V2_PER_SECOND ?? 1), due: 0, call: () => charge(headers({ 'x-version': 'v2' })) },
  {
    perSecond: Number(env.HISTORY_PER_SECOND ?? 50),
    due: 0,
    call: () => stream('History', client.history(create(HistoryRequestSchema, { count: 10 }), headers(), deadline())),
  },
  { perSecond: Number(env.RECONCILE_PER_SECOND ?? 30), due: 0, call: reconcile },
];

/** Both versions of payment have answered once, or a minute has passed: what fails from then on is worth a line. */
async function firstAnswers(): Promise<void> {
  for (const metadata of [headers(), headers({ 'x-version': 'v2' })]) {
    for (let attempt = 0; attempt < FIRST_ANSWER_ATTEMPTS && !(await answers(metadata)); attempt++) {
      await new Promise((resolve) => setTimeout(resolve, FIRST_ANSWER_PAUSE_MS));
    }
  }
}

function answers(metadata: Metadata): Promise<boolean> {
  return new Promise((resolve) => void client.charge(order(), metadata, deadline(), (error: ServiceError | null) => resolve(!error)));
}

process.on('SIGTERM', () => {
  client.close();
  process.exit(0);
});
console.log(`checkout calls payment at ${target}`);
await firstAnswers();

setInterval(() => {
  for (const kind of load) {
    kind.due += (kind.perSecond * TICK_MS) / 1000;
    for (; kind.due >= 1; kind.due--) {
      if (inFlight >= IN_FLIGHT_MAX) continue;
      inFlight++;
      kind.call();
    }
  }
}, TICK_MS);

const summary = () =>
  [...outcomes]
    .map(([outcome, count]) => `${outcome} ${count}`)
    .sort()
    .join(', ');
setInterval(() => {
  console.log(`last 30 s: ${summary()}`);
  outcomes.clear();
}, 30_000);
