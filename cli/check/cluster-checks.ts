// The ground that Weft stands on: the API server's version and the Gateway API's CRDs. Pure.
import { type Check, checksOf } from './check.ts';
import type { Crd, Facts } from './facts.ts';

const GATEWAY_GROUPS = ['gateway.networking.k8s.io', 'gateway.networking.x-k8s.io'];
const GRPC_ROUTES = 'grpcroutes.gateway.networking.k8s.io';
const BUNDLE_VERSION = 'gateway.networking.k8s.io/bundle-version';
const CHANNEL = 'gateway.networking.k8s.io/channel';
/**
 * Init containers that go on running (KEP-753) are on by default since 1.29 and can no longer be switched off since
 * 1.33.
 */
const OLDEST_MINOR = 29;
const SETTLED_MINOR = 33;
/** GRPCRoute v1, and meshes in the standard channel, came with v1.1.0. */
const OLDEST_BUNDLE: Version = [1, 1, 0];
const INSTALL_CRDS =
  'kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.1/standard-install.yaml';

type Version = readonly [major: number, minor: number, patch: number];

/** "v1.34.1+k3s1" → [1, 34, 1]; undefined when it is no version. */
export function parseVersion(text: string): Version | undefined {
  const found = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+.].*)?$/.exec(text);
  return found ? [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)] : undefined;
}

function older(a: Version, b: Version): boolean {
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i] < b[i];
  return false;
}

const kubernetes = checksOf('Kubernetes');

/** Does the API server answer, and can it run sidecars? */
export function kubernetesChecks({ kubernetes: read, server }: Facts): Check[] {
  if (!read.ok) {
    const hint = 'is the cluster up, and is this the right one? kubectl cluster-info; --kubeconfig and --context choose another';
    return [
      kubernetes.failed('api-server', server === '' ? 'there is no cluster to ask' : `the API server at ${server} cannot be asked`, {
        details: [read.error],
        hint,
      }),
    ];
  }
  const { gitVersion } = read.value;
  const version = parseVersion(gitVersion);
  if (!version) return [kubernetes.warning('api-server', `the API server at ${server} has the version "${gitVersion}", which is none`)];
  const text = `Kubernetes ${gitVersion} at ${server}`;
  if (older(version, [1, OLDEST_MINOR, 0])) {
    const hint = `upgrade the cluster to 1.${OLDEST_MINOR} or newer: Weft's sidecar is an init container with restartPolicy Always`;
    return [kubernetes.failed('api-server', `${text}: too old`, { hint })];
  }
  if (older(version, [1, SETTLED_MINOR, 0])) {
    const hint = `the feature gate SidecarContainers must not be switched off; from 1.${SETTLED_MINOR} on it cannot be`;
    return [kubernetes.warning('api-server', `${text}: sidecar containers are still beta there`, { hint })];
  }
  return [kubernetes.ok('api-server', text)];
}

const gateway = checksOf('Gateway API');

/** Is GRPCRoute served, are the CRDs new enough and of one release and channel? */
export function gatewayChecks({ crds: read }: Facts): Check[] {
  if (!read.ok) return [gateway.skipped('gateway-api', 'the CRDs could not be read', { details: [read.error] })];
  const crds = read.value.filter(({ metadata }) => GATEWAY_GROUPS.some((group) => metadata?.name?.endsWith(`.${group}`)));
  const routes = crds.find(({ metadata }) => metadata?.name === GRPC_ROUTES);
  if (!routes) {
    return [gateway.failed('gateway-api', `the CRD ${GRPC_ROUTES} is not installed: no route can exist`, { hint: INSTALL_CRDS })];
  }
  return [grpcRouteCheck(routes), ...bundleChecks(crds)];
}

function grpcRouteCheck(crd: Crd): Check {
  const bundle = crd.metadata?.annotations?.[BUNDLE_VERSION] ?? '';
  const channel = crd.metadata?.annotations?.[CHANNEL] ?? '';
  const served = (crd.spec?.versions ?? []).filter((version) => version.served).map(({ name }) => name ?? '');
  if (!served.includes('v1')) {
    return gateway.failed('gateway-api', `GRPCRoute is not served as v1, only as ${served.join(', ') || 'nothing'}`, {
      hint: INSTALL_CRDS,
    });
  }
  if (bundle === '') {
    const hint = `they may not be the project's own: ${INSTALL_CRDS}`;
    return gateway.warning('gateway-api', `GRPCRoute v1 is served, but its CRD does not say its release (annotation ${BUNDLE_VERSION})`, {
      hint,
    });
  }
  const version = parseVersion(bundle);
  // v0.0.0-dev: made from the project's main branch.
  if (bundle.endsWith('-dev')) return gateway.warning('gateway-api', `GRPCRoute v1 comes from a development bundle, ${bundle}`);
  if (!version) return gateway.warning('gateway-api', `GRPCRoute v1 is served, but the release of its CRD, "${bundle}", is no version`);
  if (older(version, OLDEST_BUNDLE)) {
    return gateway.failed('gateway-api', `the CRDs of the Gateway API are ${bundle}; Weft needs v${OLDEST_BUNDLE.join('.')} or newer`, {
      hint: INSTALL_CRDS,
    });
  }
  return gateway.ok('gateway-api', `GRPCRoute v1 is served, Gateway API ${bundle}${channel === '' ? '' : `, ${channel} channel`}`);
}

function bundleChecks(crds: readonly Crd[]): Check[] {
  const checks: Check[] = [];
  for (const [id, what, annotation] of [
    ['gateway-api-bundle', 'releases', BUNDLE_VERSION],
    ['gateway-api-channel', 'channels', CHANNEL],
  ] as const) {
    const groups = Map.groupBy(crds, ({ metadata }) => metadata?.annotations?.[annotation] ?? '(not said)');
    if (groups.size <= 1) continue;
    checks.push(
      gateway.warning(id, `the CRDs of the Gateway API are of several ${what}`, {
        details: [...groups].map(
          ([value, members]) => `${value}: ${members.map(({ metadata }) => metadata?.name?.split('.')[0]).join(', ')}`,
        ),
        hint: 'install all of one release and channel; Weft takes either channel',
      }),
    );
  }
  return checks;
}
