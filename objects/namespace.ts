// Namespace, v1. Its labels and annotations alone are read: injection, mTLS, telemetry.
import { liveAnnotationKeys } from '#core/contract/annotations.ts';
import { LABEL_INJECT, LABEL_MTLS } from '#core/contract/names.ts';
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf } from './fields.ts';
import type { FollowedKind } from './kind.ts';
import { objectShape, present, some } from './metadata.ts';

export type Namespace = KubeObject;

const LABELS = [LABEL_INJECT, LABEL_MTLS];
const ANNOTATIONS = liveAnnotationKeys('Namespace');

export const namespaceKind: FollowedKind<'Namespace', Namespace> = {
  kind: 'Namespace',
  group: '',
  version: 'v1',
  plural: 'namespaces',
  namespaced: false,
  optional: false,
  shape: objectShape(),

  keep: (_, { name, uid, deletionTimestamp, labels, annotations }) => ({
    metadata: present({
      name,
      uid,
      deletionTimestamp,
      labels: some(labels, LABELS),
      annotations: some(annotations, ANNOTATIONS),
    }),
  }),

  matter({ metadata }) {
    const { deletionTimestamp, labels, annotations } = fieldsOf(metadata);
    return [deletionTimestamp, some(labels, LABELS), some(annotations, ANNOTATIONS)];
  },

  touch: ({ key }, touched) => void touched.namespaces.add(key),
};
