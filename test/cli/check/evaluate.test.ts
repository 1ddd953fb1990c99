// Verdicts of `weft check`: nothing to say of a healthy cluster, and for each breakage the check that names it and what
// to do.
import { expect } from 'chai';
import type { Check, State } from '#cli/check/check.ts';
import { evaluate } from '#cli/check/evaluate.ts';
import type { Facts } from '#cli/check/facts.ts';
import { layOutChecks } from '#cli/check/layout.ts';
import type { ClusterPod } from '#cli/cluster/objects.ts';
import { PLAIN } from '#cli/print/style.ts';
import { ACCEPTED, CRDS, crd, facts, NOW_MS, ok, RESOLVED, report, route, shopPod, sidecar, unread } from './facts.ts';

const find = (checks: readonly Check[], id: string): Check => {
  const found = checks.find((check) => check.id === id);
  if (!found) throw new Error(`no check ${id} among ${checks.map((check) => check.id).join(', ')}`);
  return found;
};

const notOk = (checks: readonly Check[]): string[] =>
  checks.filter(({ state }) => state === 'failed' || state === 'warning').map(({ id, state }) => `${state} ${id}`);

const answered = (change: Parameters<typeof report>[0]): Partial<Facts> => ({
  answers: [{ pod: 'weft-control-plane-5d9c-abcde', report: ok(report(change)) }],
});

const withPods = (...pods: ClusterPod[]): Partial<Facts> => {
  const healthy = facts().pods;
  return { pods: ok([...(healthy.ok ? healthy.value.slice(0, 2) : []), ...pods]) };
};

const notReady = (state: object): ClusterPod => {
  const pod = shopPod('payment-7f6d-aaaaa');
  pod.status!.initContainerStatuses = [{ name: 'weft-proxy', ready: false, started: false, state }];
  return pod;
};

describe('weft check, verdicts', () => {
  it('finds nothing wrong with a healthy cluster', () => {
    const checks = evaluate(facts());
    expect(checks.filter(({ state }) => state !== 'ok')).to.deep.equal([]);
    expect(checks.length).to.be.greaterThan(14);
    expect(new Set(checks.map(({ id }) => id)).size, 'ids are unique').to.equal(checks.length);
  });

  const breakages: [what: string, change: Partial<Facts>, id: string, state: State, says: RegExp, hint: RegExp][] = [
    ['Kubernetes is too old', { kubernetes: ok({ gitVersion: 'v1.28.9' }) }, 'api-server', 'failed', /v1\.28\.9.*too old/, /1\.29/],
    [
      'sidecar containers are beta',
      { kubernetes: ok({ gitVersion: 'v1.30.2+k3s1' }) },
      'api-server',
      'warning',
      /beta/,
      /SidecarContainers/,
    ],
    ['no Gateway API', { crds: ok([]) }, 'gateway-api', 'failed', /not installed/, /kubectl apply .*standard-install\.yaml/],
    [
      'the CRDs are too old',
      { crds: ok([crd('grpcroutes', 'v1.0.0')]) },
      'gateway-api',
      'failed',
      /v1\.0\.0.*v1\.1\.0 or newer/,
      /kubectl apply/,
    ],
    [
      'GRPCRoute is alpha only',
      {
        crds: ok([
          {
            ...crd('grpcroutes'),
            spec: {
              versions: [
                { name: 'v1alpha2', served: true },
                { name: 'v1', served: false },
              ],
            },
          },
        ]),
      },
      'gateway-api',
      'failed',
      /only as v1alpha2/,
      /kubectl apply/,
    ],
    [
      'two channels',
      { crds: ok([...CRDS, crd('tcproutes', 'v1.6.1', 'experimental')]) },
      'gateway-api-channel',
      'warning',
      /several channels/,
      /one release and channel/,
    ],
    [
      'Weft is not installed',
      { namespaces: ok([{ metadata: { name: 'default' } }]) },
      'control-plane',
      'failed',
      /not installed/,
      /weft install/,
    ],
    [
      'the control plane is scaled to 0',
      {
        deployments: ok([
          { metadata: { name: 'weft-control-plane' }, spec: { replicas: 0 } },
          { metadata: { name: 'weft-injector' }, spec: { replicas: 1 }, status: { availableReplicas: 1 } },
        ]),
        answers: [],
      },
      'control-plane',
      'failed',
      /scaled to 0/,
      /kubectl -n weft-system scale deployment weft-control-plane --replicas=1/,
    ],
    [
      'no injector',
      { deployments: ok([{ metadata: { name: 'weft-control-plane' } }]) },
      'injector',
      'failed',
      /no Deployment weft-injector/,
      /weft install/,
    ],
    [
      'the webhook is gone',
      { webhook: ok(undefined) },
      'webhook',
      'failed',
      /no MutatingWebhookConfiguration weft-injector/,
      /weft install/,
    ],
    [
      'the caBundle is empty',
      { webhook: ok({ webhooks: [{ name: 'a', clientConfig: { service: { namespace: 'weft-system', name: 'weft-injector' } } }] }) },
      'webhook-certificate',
      'failed',
      /no caBundle/,
      /logs deployment\/weft-injector/,
    ],
    [
      "the caBundle is another authority's",
      { handshakes: [{ pod: 'weft-injector-1', verdict: ok('SELF_SIGNED_CERT_IN_CHAIN') }] },
      'webhook-certificate',
      'failed',
      /does not hold/,
      /rollout restart deployment\/weft-injector/,
    ],
    [
      'the webhook calls another Service',
      { webhook: ok({ webhooks: [{ name: 'a', clientConfig: { caBundle: 'eA==', service: { namespace: 'x', name: 'y' } } }] }) },
      'webhook',
      'failed',
      /does not call Service/,
      /weft install/,
    ],
    [
      'the injector has no endpoint',
      { injectorEndpoints: ok([{ endpoints: [{ addresses: ['10.1.0.7'], conditions: { ready: false } }] }]) },
      'webhook-endpoints',
      'failed',
      /no ready endpoint/,
      /endpointslices/,
    ],
    ['no authority', { authority: ok(false) }, 'authority', 'failed', /no Secret weft-system\/weft-authority/, /control plane/],
    ['the authority ends soon', answered({ authorityNotAfterMs: NOW_MS + 86_400_000 }), 'authority', 'warning', /good for 1d/, /end/],
    ['the authority is over', answered({ authorityNotAfterMs: NOW_MS - 60_000 }), 'authority', 'failed', /expired 1m ago/, /end/],
    ['versions are apart', answered({ version: '0.3.0' }), 'versions', 'warning', /more than one minor/, /rollout restart/],
    ['no control plane leads', answered({ leader: false }), 'leader', 'warning', /no control plane leads/, /15 s/],
    [
      'a replica is mute',
      { answers: [{ pod: 'weft-control-plane-1', report: unread('pods "x" is forbidden') }] },
      'control-plane-status',
      'warning',
      /did not say/,
      /portforward/,
    ],
    [
      'an uninjected pod in a meshed namespace',
      withPods(shopPod('payment-7f6d-aaaaa'), shopPod('old', { meshed: false })),
      'injected',
      'failed',
      /1 pod should have a sidecar and has none/,
      /kubectl -n shop rollout restart deployment\/payment$/,
    ],
    [
      'a sidecar that crashes',
      withPods(notReady({ waiting: { reason: 'CrashLoopBackOff' } })),
      'ready',
      'failed',
      /not ready/,
      /logs payment-7f6d-aaaaa -c weft-proxy/,
    ],
    [
      'capture that fails',
      withPods(notReady({ waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } })),
      'ready',
      'failed',
      /not capturing/,
      /-c weft-proxy$/,
    ],
    ['a sidecar that is not connected', answered({ sidecars: [] }), 'connected', 'warning', /1 sidecar not connected/, /15012/],
    [
      'a certificate that is not renewed',
      answered({ sidecars: [{ ...sidecar('payment-7f6d-aaaaa'), certificateNotAfterMs: NOW_MS + 600_000 }] }),
      'certificates',
      'warning',
      /renewed long ago/,
      /log/,
    ],
    [
      'a sidecar that refuses configuration',
      answered({ sidecars: [{ ...sidecar('payment-7f6d-aaaaa'), rejected: [{ name: 'service/shop/payment', reason: 'bad pattern' }] }] }),
      'rejected',
      'warning',
      /refused/,
      /last good/,
    ],
    [
      'a backend that does not exist',
      { routes: ok([route([ACCEPTED, { ...RESOLVED, status: 'False', reason: 'BackendNotFound', message: 'no Service "b"' }])]) },
      'routes',
      'warning',
      /mistakes/,
      /weft status routes/,
    ],
    [
      'a route that no control plane has judged',
      { routes: ok([route([{ ...ACCEPTED, observedGeneration: 1 }])]) },
      'routes-pending',
      'warning',
      /no status yet/,
      /log/,
    ],
    [
      'a parentRef that nearly names a Service',
      {
        routes: ok([
          { metadata: { namespace: 'shop', name: 'stray' }, spec: { parentRefs: [{ group: '', kind: 'service', name: 'payment' }] } },
        ]),
      },
      'routes-unattached',
      'warning',
      /nearly name a Service/,
      /kind Service/,
    ],
  ];

  for (const [what, change, id, state, says, hint] of breakages) {
    it(`${state}: ${what}`, () => {
      const check = find(evaluate(facts(change)), id);
      expect(check.state).to.equal(state);
      expect(check.text).to.match(says);
      expect(check.hint).to.match(hint);
    });
  }

  it('names the label that was meant, of namespaces and pods, and commands that put it right', () => {
    const namespaces = ok([
      { metadata: { name: 'weft-system' } },
      { metadata: { name: 'shop', labels: { 'weft.dev/inject': 'true', 'weft.dev/mtls': 'strickt' } } },
    ]);
    const check = find(evaluate(facts({ namespaces, ...withPods(shopPod('p', { labels: { 'weft.dev/inject': 'disable' } })) })), 'labels');
    expect(check.state).to.equal('failed');
    expect(check.details).to.deep.equal([
      'namespace shop: weft.dev/inject=true is not one of enabled, disabled; did you mean "enabled"?',
      'namespace shop: weft.dev/mtls=strickt is not one of permissive, strict; did you mean "strict"?',
      'pod shop/p: weft.dev/inject=disable is not one of enabled, disabled; did you mean "disabled"?',
    ]);
    expect(check.hint).to.equal('kubectl label --overwrite namespace shop weft.dev/inject=enabled');
    // Injection does not read the label of a pod that is there any more.
    const ofPod = find(evaluate(facts(withPods(shopPod('p', { labels: { 'weft.dev/inject': 'disable' } })))), 'labels');
    expect(ofPod.hint).to.equal('put it into the template of its workload: weft.dev/inject: disabled');
  });

  it('names meshed namespaces whose Pod Security refuses every pod with a sidecar', () => {
    const labels = (level: string) => ({ 'weft.dev/inject': 'enabled', 'pod-security.kubernetes.io/enforce': level });
    const named = ['privileged', 'baseline', 'restricted'].map((level) => ({ metadata: { name: level, labels: labels(level) } }));
    const plain = { metadata: { name: 'plain', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } };
    const check = find(evaluate(facts({ namespaces: ok([{ metadata: { name: 'weft-system' } }, ...named, plain]) })), 'pod-security');
    expect(check.state).to.equal('failed');
    expect(check.details).to.deep.equal(['baseline: enforces baseline', 'restricted: enforces restricted']);
    expect(check.hint).to.equal(
      'the node agent captures such pods: weft install --set nodeAgent.enabled=true | kubectl apply -f -; ' +
        'or kubectl label --overwrite namespace baseline pod-security.kubernetes.io/enforce=privileged',
    );
  });

  it('says what a broken sidecar says itself, and why its container does not run', () => {
    const running = evaluate(
      facts({
        ...withPods(notReady({ running: {} })),
        sidecarWords: new Map([['shop/payment-7f6d-aaaaa', 'connections are not captured']]),
      }),
    );
    expect(find(running, 'ready').details).to.deep.equal([
      'shop/payment-7f6d-aaaaa: runs, but is not ready; it says: connections are not captured',
    ]);
    const capture = notReady({ waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } });
    const check = find(evaluate(facts(withPods(capture))), 'ready');
    expect(check.details).to.deep.equal(['shop/payment-7f6d-aaaaa: CrashLoopBackOff: back-off 10s']);
    expect(check.hint).to.equal('kubectl -n shop logs payment-7f6d-aaaaa -c weft-proxy');
  });

  it('gives a new pod time, and leaves pods alone that are done, leaving, opted out or on the host network', () => {
    const young = notReady({ running: {} });
    young.metadata!.creationTimestamp = '2026-11-21T11:59:30Z';
    expect(notOk(evaluate(facts(withPods(young))))).to.deep.equal(['warning starting']);
    const done = shopPod('done', { meshed: false });
    done.status!.phase = 'Succeeded';
    const leaving = shopPod('leaving', { meshed: false });
    leaving.metadata!.deletionTimestamp = '2026-11-21T12:00:00Z';
    const out = shopPod('out', { meshed: false, labels: { 'weft.dev/inject': 'disabled' } });
    const host = shopPod('host', { meshed: false, hostNetwork: true });
    const checks = evaluate(facts(withPods(shopPod('payment-7f6d-aaaaa'), done, leaving, out, host)));
    expect(notOk(checks)).to.deep.equal([]);
    expect(find(checks, 'not-injected').details).to.have.length(1);
    expect(find(checks, 'not-injected').details[0]).to.match(/^shop\/host: hostNetwork/);
  });

  it('does not call sidecars of a mute replica lost', () => {
    const answers = [
      { pod: 'a', report: ok(report({ sidecars: [] })) },
      { pod: 'b', report: unread('no answer within 6 s') },
    ];
    expect(find(evaluate(facts({ answers })), 'connected').state).to.equal('skipped');
  });

  it('reports one failure with its reason where there is no cluster, and judges nothing else', () => {
    const failure = unread('connect ECONNREFUSED 127.0.0.1:1');
    const checks = evaluate(facts({ kubernetes: failure }));
    expect(checks.map(({ state }) => state)).to.deep.equal(['failed', ...Array(6).fill('skipped')]);
    expect(checks[0].details).to.deep.equal([failure.error]);
  });

  it('skips what could not be read, with the reason, and judges the rest', () => {
    const forbidden = unread('list pods: forbidden');
    const checks = evaluate(
      facts({
        crds: forbidden,
        namespaces: forbidden,
        pods: forbidden,
        deployments: forbidden,
        webhook: forbidden,
        authority: forbidden,
        routes: forbidden,
      }),
    );
    expect(notOk(checks)).to.deep.equal([]);
    for (const id of ['gateway-api', 'namespaces', 'injected', 'control-plane', 'injector', 'webhook', 'authority', 'routes']) {
      expect(find(checks, id)).to.include({ state: 'skipped' });
      expect(find(checks, id).details).to.deep.equal(['list pods: forbidden']);
    }
  });

  it('names at most ten objects, and no text of theirs drives a terminal', () => {
    const pods = Array.from({ length: 14 }, (_, i) => shopPod(`p${i}`, { meshed: false }));
    const bare = find(evaluate(facts(withPods(...pods))), 'injected');
    expect(bare.details).to.have.length(11);
    expect(bare.details.at(-1)).to.equal('and 4 more');
    const lines = layOutChecks(evaluate(facts(answered({ problems: ['bad \u001b[2J\nnews'] }))), PLAIN);
    expect(lines).to.include('           weft-control-plane-5d9c-abcde: bad news');
    expect(lines.at(-1)).to.match(/^\d+ ok, 1 warning, 0 failed$/);
  });
});
