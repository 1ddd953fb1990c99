// What running pods report of their calls, switched without a restart: by annotation, and by an XTelemetryPolicy.
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { SIDECAR_CONTAINER } from '#core/contract/names.ts';
import type { Call, Caller } from '../support/caller.ts';
import { type Condition, eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { echo, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-telemetry';
const ECHO: Call = { to: 'echo:7070' };
const CRD = 'xtelemetrypolicies.gateway.networking.x-k8s.io';

interface Policy extends Item {
  status?: { ancestors?: { ancestorRef: { kind?: string }; conditions: Condition[] }[] };
}

describe('Telemetry of running pods', () => {
  const stage = scene({ [NS]: INJECT });
  let caller: Caller;
  let uid: string | undefined;

  const pod = async (): Promise<PodItem> => (await stage.objects.list<PodItem>('pods', NS, 'app=echo'))[0]!;
  const log = async (): Promise<string> => {
    const { name } = (await pod()).metadata;
    return stage.objects.must(['logs', name, '-n', NS, '-c', SIDECAR_CONTAINER]);
  };
  const lines = async (): Promise<number> => (await log()).split('\n').filter((line) => line.includes('"msg":"access"')).length;
  const call = () => caller.until('an answer', ECHO, ({ grpcStatus }) => grpcStatus === 0);
  const annotate = (...words: string[]) => stage.objects.must(['annotate', '--overwrite', ...words]);

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(echo({ namespace: NS, name: 'echo' }), service(NS, 'echo'));
    [caller] = await Promise.all([stage.caller(NS), stage.objects.rolledOut(NS, 'echo')]);
    await call();
    uid = (await pod()).metadata.uid;
  });

  after(async function () {
    this.timeout(60_000);
    await stage.objects.must(['delete', 'crd', CRD, '--ignore-not-found']);
  });

  it('logs nothing until the namespace says so, and no more when the pod says otherwise', async () => {
    expect(await lines()).to.equal(0);
    await annotate('namespace', NS, 'weft.dev/access-log=all');
    await eventually('a line for a call', async () => {
      await call();
      return (await lines()) > 0;
    });
    await annotate('pods', '-n', NS, '-l', 'app=echo', 'weft.dev/access-log=off');
    await eventually('calls without a line', async () => {
      const before = await lines();
      await call();
      return (await lines()) === before;
    });
    expect((await pod()).metadata.uid).to.equal(uid);
  });

  it('tells of a value that cannot be used by an Event', async () => {
    await annotate('namespace', NS, 'weft.dev/access-log=erors');
    await eventually('the Event', async () => {
      const events = await stage.objects.eventsAbout('default', 'Namespace', NS);
      return events.some(({ reason, message }) => reason === 'UnusableAnnotation' && message.includes('did you mean "errors"?'));
    });
  });

  it('follows an XTelemetryPolicy from when its CRD is served, and writes its verdict', async () => {
    await stage.objects.must(
      ['apply', '--server-side', '-f', '-'],
      readFileSync(new URL('../support/xtelemetrypolicies.yaml', import.meta.url), 'utf8'),
    );
    await stage.objects.must(['wait', '--for=condition=Established', `crd/${CRD}`, '--timeout=60s']);
    await stage.objects.apply({
      apiVersion: 'gateway.networking.x-k8s.io/v1alpha1',
      kind: 'XTelemetryPolicy',
      metadata: { name: 'spans', namespace: NS },
      spec: {
        targetRefs: [{ group: '', kind: 'Service', name: 'echo' }],
        // Nothing listens there for spans: no effect on calls.
        tracing: { mode: 'Enabled', provider: { backendRef: { name: 'echo', port: 9090 } }, samplingRate: { numerator: 5 } },
      },
    });
    const verdict = await eventually('the verdict', async () => {
      const ancestors = (await stage.objects.get<Policy>('xtelemetrypolicy', 'spans', NS))?.status?.ancestors ?? [];
      return ancestors.length > 0 && ancestors;
    });
    expect(verdict[0]!.ancestorRef.kind).to.equal('Service');
    expect(verdict[0]!.conditions.map(({ type, status }) => `${type}=${status}`)).to.deep.equal(['Accepted=True', 'ResolvedRefs=True']);
    await eventually('the sidecar knows its collector', async () => (await log()).includes(`http://echo.${NS}.svc:9090`));
    await call();
    expect((await pod()).metadata.uid).to.equal(uid);
  });
});
