// Makes the reference of a Service's port, with the key by which tables find it.
import type { ServicePortRef } from './records.ts';

/** @param namespace and name of the Service @returns the reference; its key is "<namespace>/<name>:<port>" */
export function newServicePortRef(namespace: string, name: string, port: number): ServicePortRef {
  return { namespace, name, port, key: `${namespace}/${name}:${port}` };
}
