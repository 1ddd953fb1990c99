// ServiceAccount, v1. It may stand in a directory; what counts is the name that a pod gives.
import type { Kind } from './kind.ts';
import { objectShape } from './metadata.ts';

export const serviceAccountKind: Kind<'ServiceAccount'> = {
  kind: 'ServiceAccount',
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  namespaced: true,
  shape: objectShape(),
};
