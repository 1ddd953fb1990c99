// What the stories run in a cluster: echo servers of the conformance suite, Services, routes, and the caller's pod, as
// objects.
import { readFileSync } from 'node:fs';
import { ECHO_IMAGE, WEFT_IMAGE } from '../image-list.ts';
import type { Item } from './objects.ts';

/** Has Node; the caller's script comes as a ConfigMap. */
export const CALLER_IMAGE = process.env.WEFT_TEST_IMAGE ?? WEFT_IMAGE;
export const GRPC_PORT = 7070;
const AGENT_FILES = ['agent.mjs', 'calls.mjs', 'load.mjs', 'poll.mjs'];
/** Not the sidecar's user, whose traffic is not captured. */
const APPLICATION_USER = 1000;

export const INJECT = { 'weft.dev/inject': 'enabled' };

interface EchoOptions {
  readonly namespace: string;
  readonly name: string;
  readonly version?: string;
  readonly replicas?: number;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  /** Added to the container. */
  readonly container?: Record<string, unknown>;
  /** Added to the pod's spec. */
  readonly pod?: Record<string, unknown>;
}

/** A Deployment of echo servers, labelled app=echo and version=<version, or its name>. */
export function echo({ namespace, name, version = name, replicas = 1, labels, annotations, container, pod }: EchoOptions): Item {
  const selector = { app: 'echo', version };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: selector },
      template: {
        metadata: { labels: { ...selector, ...labels }, annotations },
        spec: { containers: [{ ...echoContainer(), ...container }], terminationGracePeriodSeconds: 10, ...pod },
      },
    },
  };
}

/** The container of the suite's manifests. */
export function echoContainer(): Record<string, unknown> & { name: string } {
  return {
    name: 'echo',
    image: ECHO_IMAGE,
    imagePullPolicy: 'IfNotPresent',
    args: ['--tcp=9090', '--port=8080', '--grpc=7070', '--port=8443', '--tls=8443', '--crt=/cert.crt', '--key=/cert.key'],
  };
}

/** A Service of echo servers with the suite's ports; `selector` is added to app=echo. */
export function service(namespace: string, name: string, selector: Record<string, string> = {}, spec: Record<string, unknown> = {}): Item {
  const ports = [
    { name: 'http', port: 80, targetPort: 8080, appProtocol: 'http' },
    { name: 'grpc', port: GRPC_PORT, appProtocol: 'kubernetes.io/h2c' },
    { name: 'tcp', port: 9090 },
  ];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { selector: { app: 'echo', ...selector }, ports, ...spec },
  };
}

interface RouteRule {
  name?: string;
  matches?: unknown[];
  filters?: unknown[];
  backendRefs?: unknown[];
}

/** A GRPCRoute on a Service's gRPC port. `parent`: its name, or the fields of the parentRef that differ. */
export function grpcRoute(namespace: string, name: string, parent: string | Record<string, unknown>, rules: RouteRule[]): Item {
  const fields = typeof parent === 'string' ? { name: parent, port: GRPC_PORT } : parent;
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name, namespace },
    spec: { parentRefs: [{ group: '', kind: 'Service', ...fields }], rules },
  };
}

export function backend(name: string, weight?: number, rest: Record<string, unknown> = {}): Record<string, unknown> {
  return { name, port: GRPC_PORT, ...(weight === undefined ? {} : { weight }), ...rest };
}

/** Sets a header of the answer. */
export function answerHeader(name: string, value: string): unknown {
  return { type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name, value }] } };
}

/** The pod that calls, and the ConfigMap with its script; see agent.mjs. */
export function callerPod(namespace: string, name: string, labels: Record<string, string> = {}, pod: Record<string, unknown> = {}): Item[] {
  const data = Object.fromEntries(AGENT_FILES.map((file) => [file, readFileSync(new URL(file, import.meta.url), 'utf8')]));
  const script = `agent-${name}`;
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: script, namespace }, data },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app: name, ...labels } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'agent',
            image: CALLER_IMAGE,
            imagePullPolicy: 'IfNotPresent',
            command: ['node', '/agent/agent.mjs'],
            securityContext: { runAsUser: APPLICATION_USER, runAsGroup: APPLICATION_USER, allowPrivilegeEscalation: false },
            volumeMounts: [
              { name: 'agent', mountPath: '/agent' },
              { name: 'run', mountPath: '/run/agent' },
            ],
          },
        ],
        volumes: [
          { name: 'agent', configMap: { name: script } },
          { name: 'run', emptyDir: {} },
        ],
        ...pod,
      },
    },
  ];
}
