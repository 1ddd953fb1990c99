// A small mesh in manifests, for tests of the plan.
import type { SourcedManifest } from '#local/plan/manifests.ts';
import type { PlanSettings } from '#local/plan/plan.ts';

export const settings: PlanSettings = {
  prefix: '127.77',
  lowestPort: 1024,
  trustDomain: 'cluster.local',
  directory: '/manifests',
  exists: () => false,
};

// biome-ignore lint/suspicious/noExplicitAny: manifests are free-form
export function manifest(kind: string, name: string, spec: any = {}, meta: object = {}, file = '/manifests/all.yaml'): SourcedManifest {
  return { object: { kind, metadata: { name, namespace: 'shop', ...meta }, spec }, file };
}

export function deployment(
  name: string,
  labels: Record<string, string>,
  container: object = {},
  replicas?: number,
  podSpec: object = {},
): SourcedManifest {
  return manifest('Deployment', name, {
    ...(replicas !== undefined && { replicas }),
    template: {
      metadata: { labels },
      spec: {
        containers: [{ name: 'main', command: ['node', `${name}.mjs`], ports: [{ name: 'grpc', containerPort: 8080 }], ...container }],
        ...podSpec,
      },
    },
  });
}

export function service(
  name: string,
  selector: Record<string, string> | undefined,
  port: object = {},
  more: object = {},
  meta: object = {},
): SourcedManifest {
  return manifest(
    'Service',
    name,
    { ...(selector && { selector }), ports: [{ name: 'grpc', port: 9000, targetPort: 'grpc', ...port }], ...more },
    meta,
  );
}
