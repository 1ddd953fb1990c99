// The two Secrets of the authority: the one that is wanted, which people and tools write, and what is in use.
import type { AuthorityPem } from '#certs/authority.ts';
import type { AuthorityStore } from '#certs/bootstrap.ts';
import { ANNOTATION_FINISH, ANNOTATION_ROTATE, AUTHORITY_SECRET, AUTHORITY_STATE_SECRET } from '#core/contract/names.ts';
import { KINDS, type KubeClient, KubeError, type ResourcePath } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf } from '#objects/fields.ts';
import { type AuthorityState, decodeAuthority, encodeAuthority, encodeAuthorityState } from './authority-state.ts';

/** What cert-manager says of a Secret that it has written. */
const CERT_MANAGER = 'cert-manager.io/';

export interface AuthoritySecret extends KubeObject {
  type?: string;
  data?: Record<string, string>;
}

/** AUTHORITY_SECRET. Its keys are those of kubernetes.io/tls, so that tools that make such Secrets can make this one. */
export class WantedAuthority implements AuthorityStore {
  private readonly client: KubeClient;
  private readonly namespace: string;

  constructor(client: KubeClient, namespace: string) {
    this.client = client;
    this.namespace = namespace;
  }

  /** @throws AuthorityError when the Secret lacks a key, KubeError when the API server gives no answer */
  async read(): Promise<AuthorityPem | null> {
    const secret = await found(this.client, this.namespace, AUTHORITY_SECRET);
    return secret === null ? null : decodeAuthority(fieldsOf(secret.data));
  }

  /** The API server takes one POST of a name: the others get 409. @throws KubeError */
  async create(pem: AuthorityPem): Promise<boolean> {
    return (await created(this.client, secretOf(this.namespace, AUTHORITY_SECRET, encodeAuthority(pem)))) !== null;
  }

  /**
   * Writes an authority of Weft's own over the one that was read, and takes back what was asked for.
   * @throws KubeError; 409: it is not as it was read
   */
  async replace(read: AuthoritySecret, pem: AuthorityPem): Promise<void> {
    const annotations = Object.entries(fieldsOf(read.metadata?.annotations)).filter(([name]) => !name.startsWith(CERT_MANAGER));
    const metadata = { ...read.metadata, annotations: Object.fromEntries(annotations) as Record<string, string> };
    await this.put({ ...read, metadata, data: encodeAuthority(pem) });
  }

  /** Takes the annotations of people's requests away. @throws KubeError; 409: it is not as it was read */
  async answered(read: AuthoritySecret): Promise<void> {
    await this.put(read);
  }

  private async put({ apiVersion, kind, metadata, type, data }: AuthoritySecret): Promise<void> {
    const { [ANNOTATION_ROTATE]: _rotate, [ANNOTATION_FINISH]: _finish, ...annotations } = fieldsOf(metadata?.annotations);
    const body = { apiVersion, kind, metadata: { ...metadata, annotations }, type, data };
    await this.client.request('PUT', { kind: KINDS.Secret, namespace: this.namespace, name: AUTHORITY_SECRET }, { body });
  }
}

/** AUTHORITY_STATE_SECRET. */
export class AuthorityStateSecret {
  private readonly client: KubeClient;
  private readonly namespace: string;

  constructor(client: KubeClient, namespace: string) {
    this.client = client;
    this.namespace = namespace;
  }

  /** null: there is none. @throws KubeError */
  read(): Promise<AuthoritySecret | null> {
    return found(this.client, this.namespace, AUTHORITY_STATE_SECRET);
  }

  /** @returns as it is kept; null: another replica was first. @throws KubeError */
  create(state: AuthorityState): Promise<AuthoritySecret | null> {
    return created(this.client, secretOf(this.namespace, AUTHORITY_STATE_SECRET, encodeAuthorityState(state), 'Opaque'));
  }

  /** @param version that is written over. @returns as it is kept. @throws KubeError; 409: another was faster */
  replace(state: AuthorityState, version: string | undefined): Promise<AuthoritySecret> {
    const secret = secretOf(this.namespace, AUTHORITY_STATE_SECRET, encodeAuthorityState(state), 'Opaque');
    const body = { ...secret, metadata: { ...secret.metadata, ...(version !== undefined && { resourceVersion: version }) } };
    return this.client.request('PUT', { kind: KINDS.Secret, namespace: this.namespace, name: AUTHORITY_STATE_SECRET }, { body });
  }
}

function secretOf(namespace: string, name: string, data: Record<string, string>, type = 'kubernetes.io/tls'): AuthoritySecret {
  const metadata = { name, namespace, labels: { 'app.kubernetes.io/part-of': 'weft' } };
  return { apiVersion: 'v1', kind: 'Secret', metadata, type, data };
}

async function found(client: KubeClient, namespace: string, name: string): Promise<AuthoritySecret | null> {
  try {
    return await client.request<AuthoritySecret & Record<string, unknown>>('GET', { kind: KINDS.Secret, namespace, name });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return null;
    throw error;
  }
}

async function created(client: KubeClient, body: AuthoritySecret): Promise<AuthoritySecret | null> {
  const path: ResourcePath = { kind: KINDS.Secret, namespace: body.metadata!.namespace! };
  try {
    return await client.request<AuthoritySecret & Record<string, unknown>>('POST', path, { body });
  } catch (error) {
    if (error instanceof KubeError && error.status === 409) return null;
    throw error;
  }
}

/** What manages the Secret, in words; '': nobody but Weft. */
export function managerOf(secret: AuthoritySecret | undefined): string {
  const certificate = fieldsOf(secret?.metadata?.annotations)[`${CERT_MANAGER}certificate-name`];
  return certificate === undefined ? '' : `cert-manager Certificate ${certificate}`;
}
