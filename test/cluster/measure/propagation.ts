// How soon a changed route is in force: from the API server's answer until all of four kept connections in a pod show
// the new header value.
// npx node test/cluster/measure/propagation.ts [changes]   The pod and this program must share a clock: one machine.
import { connectKube } from '#kube/client.ts';
import { grpcRouteKind } from '#objects/grpc-route.ts';
import { Caller } from '../support/caller.ts';
import { answerHeader, backend, echo, grpcRoute, INJECT, service } from '../support/workloads.ts';
import { measure, quantile, say } from './frame.ts';

const NS = 'measure-propagation';
const CHANGES = Number(process.argv[2] ?? 20);
const PAUSE_MS = 500;
const HEADER = 'x-value';

await measure({ [NS]: INJECT }, async (objects) => {
  const route = (value: string) =>
    grpcRoute(NS, 'echo', 'echo', [{ filters: [answerHeader(HEADER, value)], backendRefs: [backend('echo')] }]);
  await objects.apply(echo({ namespace: NS, name: 'echo' }), service(NS, 'echo'), route('start'));
  await objects.rolledOut(NS, 'echo');
  const caller = await Caller.start(objects, NS);
  await caller.until('the route', { to: 'echo:7070' }, ({ headers }) => headers[HEADER] === 'start');
  const client = await connectKube({ kubeconfig: objects.kubeconfig });
  const poll = await caller.poll({ to: 'echo:7070', header: HEADER, connections: 4, everyMs: 5 });
  await poll.shows('start');

  const tookMs: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const value = `change-${i}`;
    const shown = poll.shows(value);
    const where = { kind: grpcRouteKind, namespace: NS, name: 'echo' };
    await client.request('PATCH', where, { body: { spec: route(value).spec } });
    const answeredMs = performance.timeOrigin + performance.now();
    tookMs.push((await shown) - answeredMs);
    // Each change by itself: only a burst is coalesced.
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  await poll.stop();
  caller.close();
  const figures = [0.5, 0.9, 0.99].map((share) => `p${share * 100} ${quantile(tookMs, share).toFixed(1)} ms`);
  say(`route change in force on four connections, ${CHANGES} changes: ${figures.join(', ')}`);
});
process.exit(0);
