// The injector put together: what it follows, what it serves, when it is ready.

import { INJECTOR_NAME, SYSTEM_NAMESPACE, TRUST_CONFIG_MAP } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient } from '#kube/api.ts';
import { EventRecorder } from '#kube/events.ts';
import { Reflector } from '#kube/reflector.ts';
import { namespaceKind } from '#objects/namespace.ts';
import type { InjectionSettings } from './containers.ts';
import { ControlPlaneAddress } from './control-plane-address.ts';
import { startHealth } from './health.ts';
import { LimitCache, projectLimitRange, projectQuota } from './limit-cache.ts';
import { InjectorMetrics } from './metrics.ts';
import { NamespaceCache, projectNamespace } from './namespaces.ts';
import { answerReview, type ReviewDeps, type ReviewSender } from './review.ts';
import { startWebhookServer, type WebhookServer } from './server.ts';
import { ServingCertificate } from './serving-certificate.ts';
import type { InjectorSettings } from './settings.ts';
import { projectTrust, TrustRoots } from './trust-roots.ts';
import { VerifiedEvents } from './verified-events.ts';
import { BundleKeeper, projectConfiguration } from './webhook-configuration.ts';

/** After SIGTERM: until then API servers may still be sent to this replica, which asks them to come again. */
const LINGER_MS = 3000;

export interface InjectorDeps {
  readonly client: KubeClient;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /** A text that no client can guess, another at each call. */
  readonly secret: () => string;
  /** The first address of a name. */
  readonly resolve: (host: string) => Promise<string>;
  readonly log: Logger;
  /** A failure after which nothing can go on, such as a port that is taken. */
  readonly onFatal: (error: Error) => void;
}

export interface Injector {
  /** 0 until there is a certificate to serve. */
  webhookPort(): number;
  readonly healthPort: number;
  /** '' when pods can be injected, else what is missing. */
  notReady(): string;
  /**
   * Refuses further pods for the moment, so that no pod gets settings that a rollout has replaced, and ends after
   * LINGER_MS.
   */
  stop(): Promise<void>;
}

/**
 * Starts the injector; it serves the webhook as soon as it has a certificate, for which it needs the API server.
 * @throws Error when a port is taken
 */
export async function startInjector(settings: InjectorSettings, deps: InjectorDeps): Promise<Injector> {
  const { client, timers, random, log, onFatal } = deps;
  const metrics = new InjectorMetrics();
  const namespaces = new NamespaceCache(client, () => timers.now());
  const limits = new LimitCache();
  const controlPlane = new ControlPlaneAddress(settings.injection.controlPlane, deps.resolve, timers);
  const roots = new TrustRoots(log.child('roots'));
  const events = new EventRecorder({ client, component: INJECTOR_NAME, timers, log: log.child('events') });
  let server: Promise<WebhookServer> | undefined;
  let port = 0;
  let stopping = false;
  let stopped: Promise<void> | undefined;

  const certificate: ServingCertificate = new ServingCertificate({
    client,
    namespace: settings.namespace,
    names: servingNames(),
    trusted: () => keeper.trusted(),
    onLeaf: ({ certificate: cert, key, notAfterMs }) => {
      metrics.certificateExpiry.set(notAfterMs / 1000);
      metrics.authorityExpiry.set(certificate.authorityNotAfterMs() / 1000);
      if (server === undefined) serve({ cert, key });
      else void server.then((running) => running.setIdentity({ cert, key }));
    },
    onChecked: () => keeper.check(),
    timers,
    random,
    log: log.child('certificate'),
  });
  const keeper = new BundleKeeper({
    client,
    bundle: () => certificate.bundle(),
    refresh: () => certificate.refresh(),
    onPatched: () => metrics.bundlePatches.inc(),
    timers,
    random,
    log: log.child('webhook'),
  });
  const injection = (): InjectionSettings | string => {
    // The successor's settings may be others, and its rollout counts as done by now.
    if (stopping) return STOPPING;
    const trustRoots = roots.pem();
    return trustRoots === '' ? NO_ROOTS : { ...settings.injection, trustRoots };
  };
  const verified = new VerifiedEvents({
    client,
    namespaceOf: (name) => namespaces.lookup(name),
    settings: injection,
    limitsOf: (namespace) => limits.of(namespace),
    record: (event) => events.record(event),
    timers,
    log: log.child('events'),
  });
  const reviewDeps: ReviewDeps = {
    namespaceOf: (name, fresh, sender) => namespaces.lookup(name, fresh, sender),
    settings: injection,
    limitsOf: (namespace) => limits.of(namespace),
    controlPlaneAddress: () => controlPlane.get(),
    hookToken: deps.secret,
    record: (event, sender) => (sender.authenticated ? events.record(event) : verified.record(event, sender)),
    metrics,
    log: log.child('review'),
  };
  const serve = (identity: { cert: string; key: string }): void => {
    const review = async (body: string, sender: ReviewSender) => {
      const beganMs = timers.now();
      const answer = await answerReview(body, reviewDeps, sender);
      metrics.took(timers.now() - beganMs);
      return answer;
    };
    const onRefused = (status: number): void => metrics.refusedRequests.inc({ status: `${status}` });
    const { host, webhookPort, clients } = settings;
    server = startWebhookServer({
      host,
      port: webhookPort,
      identity,
      now: () => timers.now(),
      review,
      onRefused,
      ...(clients && { clients }),
    });
    server.then((running) => {
      port = running.port;
      log.info('the webhook is served', { port });
    }, onFatal);
  };

  const shared = { client, timers, random, log: log.child('reflector') };
  const ofSystem = { namespace: SYSTEM_NAMESPACE, name: TRUST_CONFIG_MAP };
  const following = {
    namespaces: new Reflector({ ...shared, kind: namespaceKind, project: projectNamespace, handler: namespaces.handler }),
    limitRanges: new Reflector({ ...shared, kind: KINDS.LimitRange, project: projectLimitRange, handler: limits.rangeHandler }),
    quotas: new Reflector({ ...shared, kind: KINDS.ResourceQuota, project: projectQuota, handler: limits.quotaHandler }),
    roots: new Reflector({ ...shared, kind: KINDS.ConfigMap, ...ofSystem, project: projectTrust, handler: roots.handler }),
    webhook: new Reflector({
      ...shared,
      kind: KINDS.MutatingWebhookConfiguration,
      name: INJECTOR_NAME,
      project: projectConfiguration,
      handler: keeper.handler,
    }),
  };
  const notReady = (): string => {
    if (stopping) return 'stopping';
    if (port === 0) return 'there is no serving certificate yet';
    for (const [what, reflector] of [
      ['namespaces', following.namespaces],
      ['LimitRanges', following.limitRanges],
      ['ResourceQuotas', following.quotas],
    ] as const)
      if (!reflector.status().synced) return `${what} are not known yet: ${reflector.status().lastError || 'listing'}`;
    if (roots.pem() === '') return NO_ROOTS;
    return keeper.notReady();
  };

  const health = await startHealth({ host: settings.host, port: settings.healthPort, notReady, metrics: (page) => metrics.write(page) });
  for (const reflector of Object.values(following)) reflector.start();
  certificate.start();
  return {
    webhookPort: () => port,
    healthPort: health.port,
    notReady,
    stop: () => (stopped ??= stop()),
  };

  async function stop(): Promise<void> {
    stopping = true;
    (await server)?.beginStop();
    if (server !== undefined) await new Promise<void>((resolve) => void timers.after(LINGER_MS, resolve));
    certificate.stop();
    keeper.stop();
    for (const reflector of Object.values(following)) reflector.stop();
    await (await server)?.close();
    await health.close();
  }
}

const STOPPING = 'this injector is stopping, and the next one may have other settings';

const NO_ROOTS = `the mesh's roots are not known yet: ConfigMap ${SYSTEM_NAMESPACE}/${TRUST_CONFIG_MAP}, written by the control plane`;

/** By which names an API server calls the webhook's Service. */
function servingNames(): string[] {
  const short = `${INJECTOR_NAME}.${SYSTEM_NAMESPACE}.svc`;
  return [short, `${short}.cluster.local`];
}
