// ServiceAccount tokens: what a verifier is, and the signer and verifier of tokens where there is no API server (`weft
// run`).
import { generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from 'node:crypto';
import { isNamespace, isServiceAccount } from '#core/contract/identity.ts';
import { TOKEN_AUDIENCE } from '#core/contract/names.ts';

/** Whom a token speaks for. */
export interface TokenIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod that the token is bound to. */
  readonly pod?: string;
  /** Its uid. */
  readonly uid?: string;
}

export interface TokenRefusal {
  /** Goes into our log, not to the client. */
  readonly error: string;
  /** The verifier could not do its work: the client should try again. */
  readonly unavailable?: true;
}

/** Finds the pod that a token speaks for. Refusals are values; it never rejects. */
export type VerifyToken = (token: string) => Promise<TokenIdentity | TokenRefusal>;

/** A token larger than this is refused unread. */
export const LARGEST_TOKEN = 16 * 1024;
const ISSUER = 'weft-run';

export interface TokenIssuerDeps {
  /** Unix ms. */
  readonly now: () => number;
  /** Whether the pod still exists; absent: a token lives as long as it says. */
  readonly podExists?: (identity: TokenIdentity) => boolean;
}

export interface TokenOptions extends TokenIdentity {
  readonly lifetimeMs: number;
  readonly audience?: string;
}

/**
 * Signs and verifies JWTs (RFC 7519, ES256 of RFC 7518 §3.4) with the claims that Kubernetes writes into projected
 * tokens. The key lives in memory.
 */
export class TokenIssuer {
  private readonly privateKey: KeyObject;
  private readonly publicKey: KeyObject;
  private readonly deps: TokenIssuerDeps;

  constructor(deps: TokenIssuerDeps) {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.privateKey = pair.privateKey;
    this.publicKey = pair.publicKey;
    this.deps = deps;
  }

  sign(options: TokenOptions): string {
    const seconds = Math.floor(this.deps.now() / 1000);
    const claims = {
      aud: [options.audience ?? TOKEN_AUDIENCE],
      exp: seconds + Math.ceil(options.lifetimeMs / 1000),
      iat: seconds,
      iss: ISSUER,
      jti: randomUUID(),
      nbf: seconds,
      sub: `system:serviceaccount:${options.namespace}:${options.serviceAccount}`,
      'kubernetes.io': {
        namespace: options.namespace,
        ...(options.pod === undefined ? {} : { pod: { name: options.pod, uid: options.uid } }),
        serviceaccount: { name: options.serviceAccount },
      },
    };
    const signed = `${encode({ alg: 'ES256', typ: 'JWT' })}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), { key: this.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }

  /** Verifies a token that this object has signed. */
  readonly verify: VerifyToken = async (token) => {
    const parts = token.split('.');
    if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) return { error: 'not a token' };
    const [head, body, signature] = parts as [string, string, string];
    // The algorithm is ours, whatever the token claims: "none" and its kin never reach a decision.
    if (decode(head)?.alg !== 'ES256') return { error: 'not an ES256 token' };
    const octets = Buffer.from(signature, 'base64url');
    if (!verify('sha256', Buffer.from(`${head}.${body}`), { key: this.publicKey, dsaEncoding: 'ieee-p1363' }, octets)) {
      return { error: 'signed by another key' };
    }
    const claims = decode(body);
    return claims === null ? { error: 'not a token' } : this.judge(claims);
  };

  private judge(claims: Record<string, unknown>): TokenIdentity | TokenRefusal {
    const seconds = this.deps.now() / 1000;
    if (claims.iss !== ISSUER) return { error: 'of another issuer' };
    if (typeof claims.exp !== 'number' || seconds >= claims.exp) return { error: 'expired' };
    if (typeof claims.nbf === 'number' && seconds < Math.floor(claims.nbf)) return { error: 'not yet valid' };
    if (!Array.isArray(claims.aud) || !claims.aud.includes(TOKEN_AUDIENCE)) return { error: `not for the audience ${TOKEN_AUDIENCE}` };
    const subject = typeof claims.sub === 'string' ? claims.sub.split(':') : [];
    if (subject.length !== 4 || subject[0] !== 'system' || subject[1] !== 'serviceaccount') return { error: 'not of a ServiceAccount' };
    const [, , namespace, serviceAccount] = subject as [string, string, string, string];
    if (!isNamespace(namespace) || !isServiceAccount(serviceAccount)) return { error: 'not of a ServiceAccount' };
    const bound = claims['kubernetes.io'] as { pod?: { name?: unknown; uid?: unknown } } | undefined;
    const identity: TokenIdentity = { namespace, serviceAccount, ...boundPod(bound?.pod) };
    if (this.deps.podExists?.(identity) === false) return { error: 'its pod is gone' };
    return identity;
  }
}

function boundPod(pod: { name?: unknown; uid?: unknown } | undefined): { pod?: string; uid?: string } {
  return {
    ...(typeof pod?.name === 'string' ? { pod: pod.name } : {}),
    ...(typeof pod?.uid === 'string' ? { uid: pod.uid } : {}),
  };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
