// The route that is measured: eight methods, a header set, a 90/10 split over two Services of the same pod. As objects.
import type { Item, Objects } from '../support/objects.ts';
import { backend, GRPC_PORT, grpcRoute } from '../support/workloads.ts';

/**
 * Three Services of the pods labelled app=<app>, and the route on the first, which is named as the app.
 * @param methods "/service/method" each
 */
export function routedService(namespace: string, app: string, methods: readonly string[]): Item[] {
  const versions = [`${app}-v1`, `${app}-v2`];
  const services = [app, ...versions].map((name) => plainService(namespace, name, app));
  const matches = methods.map((url) => {
    const [, service, method] = url.split('/');
    return { method: { type: 'Exact', service, method } };
  });
  const filters = [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-weft-route', value: 'bench' }] } }];
  const backendRefs = [backend(versions[0], 90), backend(versions[1], 10)];
  return [...services, grpcRoute(namespace, app, app, [{ matches, filters, backendRefs } as object])];
}

/** A Service of gRPC alone. */
export function plainService(namespace: string, name: string, app: string): Item {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { selector: { app }, ports: [{ name: 'grpc', port: GRPC_PORT, appProtocol: 'kubernetes.io/h2c' }] },
  };
}

/** The address that a Service has. */
export async function addressOf(objects: Objects, namespace: string, name: string): Promise<string> {
  return ((await objects.get('service', name, namespace))!.spec as { clusterIP: string }).clusterIP;
}
