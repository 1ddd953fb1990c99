// `weft run --otlp` of the shop with a real Jaeger: each call is one trace, checkout's span and in it payment's.
import { expect } from 'chai';
import { goTool } from '#test/support/go-tools.ts';
import { type Jaeger, type JaegerSpan, type JaegerTrace, startJaeger, tagsOf } from '#test/support/jaeger.ts';
import { neededBy } from '#test/support/needed.ts';
import { type RunProcess, shopDirectory, startRun } from '#test/support/run-process.ts';
import { until } from '#test/support/until.ts';

const CHARGE = 'payment.PaymentService/Charge';
/** The first run builds Jaeger. */
const BUILD_MS = 900_000;
/** Few calls: every one of them is recorded. */
const RATE = 20;

describe('weft run --otlp', function () {
  // Seven processes start from sources on a machine that runs other tests too.
  this.timeout(60_000);
  let jaeger: Jaeger;
  let run: RunProcess;

  before(async function () {
    this.timeout(BUILD_MS);
    if (process.platform !== 'linux') return this.skip();
    neededBy(this, await goTool('jaeger'));
    jaeger = await startJaeger();
    const directory = shopDirectory((text, file) =>
      file === 'checkout.yaml' ? text.replaceAll(/value: "\d{2,}"/g, `value: "${RATE}"`) : text,
    );
    run = startRun(directory, '--otlp', jaeger.otlpUrl);
  });

  after(async () => {
    await run?.end('SIGTERM');
    run?.remove();
    await jaeger?.stop();
  });

  const spanOf = ({ spans }: JaegerTrace, kind: string): JaegerSpan => spans.find((span) => tagsOf(span)['span.kind'] === kind)!;
  const isCharge = ({ spans }: JaegerTrace): boolean => spans.length === 2 && spans.every(({ operationName }) => operationName === CHARGE);

  it('makes one trace of a call through the shop, with the spans, parents and attributes of docs/reference/tracing.md', async () => {
    let trace: JaegerTrace | undefined;
    await until(async () => (trace = (await jaeger.traces('checkout')).find(isCharge)) !== undefined, 'a charge is in Jaeger', 45_000);
    const [caller, callee] = [spanOf(trace!, 'client'), spanOf(trace!, 'server')];
    expect(caller.references).to.deep.equal([]);
    expect(callee.references).to.deep.equal([{ refType: 'CHILD_OF', traceID: trace!.traceID, spanID: caller.spanID }]);
    // Two processes, two clocks: only lengths can be compared to the microsecond.
    expect(callee.duration).to.be.at.most(caller.duration);
    const [checkout, payment] = [caller, callee].map(({ processID }) => trace!.processes[processID]!);
    expect(checkout!.serviceName).to.equal('checkout');
    expect(payment!.serviceName).to.match(/^payment-v[12]$/);
    expect(tagsOf(checkout!)).to.include({ 'service.namespace': 'shop', 'k8s.namespace.name': 'shop' });
    expect(tagsOf(caller)).to.include({
      'rpc.system.name': 'grpc',
      'rpc.method': CHARGE,
      'rpc.status_code': 'OK',
      'server.address': 'payment.shop',
      'server.port': 8080,
      'weft.direction': 'outbound',
      'weft.service': 'shop/payment:8080',
      'weft.route': 'GRPCRoute/shop/payment',
      'weft.backend': `shop/${payment!.serviceName}:8080`,
      'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/payment',
    });
    expect(tagsOf(caller)['weft.pod']).to.equal(`shop/${tagsOf(payment!)['k8s.pod.name']}`);
    expect(tagsOf(callee)).to.include({
      'rpc.method': CHARGE,
      'weft.direction': 'inbound',
      'weft.peer.identity': 'spiffe://cluster.local/ns/shop/sa/checkout',
    });
  });

  it('makes spans of streams, too', async () => {
    await until(async () => {
      const names = (await jaeger.traces('checkout')).flatMap(({ spans }) => spans.map(({ operationName }) => operationName));
      return ['History', 'Reconcile'].every((method) => names.includes(`payment.PaymentService/${method}`));
    }, 'History and Reconcile are in Jaeger');
  });
});
