// What is kept of each object that the API server sends.
import { entriesOf, fieldsOf } from './fields.ts';
import { apiVersionOf } from './kind.ts';
import { followedKind } from './kinds.ts';
import { named, present } from './metadata.ts';
import type { StoredKind } from './stored-kinds.ts';
import { EXPERIMENTAL_GROUP, type KubeObject, type ObjectMeta, type XTelemetryPolicy } from './types.ts';

/** The API server leaves apiVersion and kind out of the items of a list. */
const API_VERSION: Readonly<Record<string, string>> = {
  XTelemetryPolicy: `${EXPERIMENTAL_GROUP}/v1alpha1`,
};

/** The object as the store holds it. Fields of wrong types are kept as they are: translate/ is who judges them. */
export function project(kind: StoredKind, raw: Record<string, unknown>): KubeObject {
  const object = raw as KubeObject;
  const known = followedKind(kind);
  if (known !== undefined) return { apiVersion: apiVersionOf(known), kind, ...known.keep(object, fieldsOf(object.metadata)) };
  return { apiVersion: API_VERSION[kind], kind, ...PARTS[kind](object, fieldsOf(object.metadata)) };
}

type Parts = (object: KubeObject, metadata: Partial<ObjectMeta>) => KubeObject;

const PARTS: Readonly<Record<string, Parts>> = {
  XTelemetryPolicy: (object, metadata) => {
    const { generation, creationTimestamp, resourceVersion, uid } = metadata;
    const { spec, status } = object as XTelemetryPolicy;
    const ancestors = entriesOf(fieldsOf(status).ancestors);
    return {
      metadata: present({ ...named(metadata), generation, creationTimestamp, resourceVersion, uid }),
      spec,
      status: ancestors.length === 0 ? undefined : { ancestors },
    } as XTelemetryPolicy;
  },
};
