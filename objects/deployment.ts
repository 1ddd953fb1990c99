// Deployment, apps/v1. Only `weft run` reads it as an object: on a cluster its pods speak for themselves.
import type { Kind } from './kind.ts';
import { objectShape, templateMetadataShape } from './metadata.ts';
import { podSpecShape } from './pod.ts';
import { fields, INT32, integer, textMap } from './shape.ts';

const spec = fields(
  {
    replicas: integer(0, INT32),
    selector: fields({ matchLabels: textMap }),
    template: fields({ metadata: templateMetadataShape, spec: podSpecShape }, ['spec']),
  },
  ['selector', 'template'],
);

export const deploymentKind: Kind<'Deployment'> = {
  kind: 'Deployment',
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  namespaced: true,
  shape: objectShape({ spec }),
};
