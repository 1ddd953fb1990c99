// How a status is written: to the subresource alone, and only over the version that was read.
import type { KubeClient, ServedKind } from '#kube/api.ts';

/** The object whose status is written. */
export interface StatusOf {
  readonly apiVersion: string | undefined;
  readonly kind: string;
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly resourceVersion: string | undefined };
}

/** @returns the object as it is now. @throws KubeError, 409 when it is newer than resourceVersion */
export function putStatus<T>(client: KubeClient, served: ServedKind, object: StatusOf, status: unknown): Promise<T> {
  const { namespace, name } = object.metadata;
  const path = { kind: served, ...(namespace === undefined ? {} : { namespace }), name, subresource: 'status' };
  // The API server takes nothing but the status of this body.
  return client.request<T>('PUT', path, { body: { ...object, status } });
}
