// Routes for stories, as a user writes them.
import type { KubeObject } from '#kube/object.ts';
import { NAMESPACE, PORT } from './mesh.ts';

export interface RouteOptions {
  readonly name?: string;
  readonly namespace?: string;
  /** Service that it is attached to. */
  readonly parent?: string;
  readonly parentNamespace?: string;
  /** Port of the parent. */
  readonly port?: number;
}

/** A GRPCRoute attached to the Service `echo` of the mesh's namespace unless said otherwise. */
export function grpcRoute(rules: readonly object[], options: RouteOptions = {}): KubeObject {
  return routeOf('GRPCRoute', rules, options);
}

/** The same of an HTTPRoute. */
export function httpRoute(rules: readonly object[], options: RouteOptions = {}): KubeObject {
  return routeOf('HTTPRoute', rules, options);
}

function routeOf(kind: string, rules: readonly object[], options: RouteOptions): KubeObject {
  const { name = 'echo', namespace = NAMESPACE, parent = 'echo', parentNamespace, port } = options;
  const parentRef = {
    group: '',
    kind: 'Service',
    name: parent,
    ...(parentNamespace === undefined ? {} : { namespace: parentNamespace }),
    ...(port === undefined ? {} : { port }),
  };
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind,
    metadata: { name, namespace },
    spec: { parentRefs: [parentRef], rules },
  } as KubeObject;
}

/** A backendRef. */
export function to(name: string, weight?: number, filters?: readonly object[]): object {
  const namespace = name.includes('/') ? { namespace: name.slice(0, name.indexOf('/')) } : {};
  return {
    name: name.slice(name.indexOf('/') + 1),
    ...namespace,
    port: PORT,
    ...(weight === undefined ? {} : { weight }),
    ...(filters === undefined ? {} : { filters }),
  };
}

/** A rule with weights: "split({ v1: 90, v2: 10 })". */
export function split(weights: Readonly<Record<string, number>>, rest: object = {}): object {
  return { ...rest, backendRefs: Object.entries(weights).map(([name, weight]) => to(name, weight)) };
}
