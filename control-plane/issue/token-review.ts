// Verifies ServiceAccount tokens by asking the API server: TokenReview with our audience, and the pod that the token is
// bound to.
import { createHash } from 'node:crypto';
import { isNamespace, isServiceAccount } from '#core/contract/identity.ts';
import { TOKEN_AUDIENCE } from '#core/contract/names.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import { entriesOf, fieldsOf, textOf } from '#objects/fields.ts';
import { type Pod, podKind } from '#objects/pod.ts';
import type { TokenIdentity, TokenRefusal, VerifyToken } from './token.ts';

/** Reviews under way at once; each is a request to the API server. */
export const MOST_REVIEWS = 16;
/** Callers that wait for their turn; more are asked to come back. */
export const MOST_WAITING = 512;
/** A token that was refused is refused again for so long without asking, in ms. */
export const REFUSED_FOR_MS = 10_000;
const MOST_REFUSED = 10_000;
const REVIEW_TIMEOUT_MS = 5000;
/** A sidecar that was asked to come back does so within this, in ms. */
const FAILURE_COUNTS_MS = 60_000;
const SERVICE_ACCOUNTS = 'system:serviceaccounts';
const POD_NAME = 'authentication.kubernetes.io/pod-name';
const POD_UID = 'authentication.kubernetes.io/pod-uid';

export interface TokenReviewerDeps {
  readonly client: KubeClient;
  /** The pod "namespace/name" as it is known here; undefined: not (yet), then the API server is asked. */
  readonly podOf: (key: string) => Pod | undefined;
  /** Unix ms. */
  readonly now: () => number;
}

/** How many tokens were judged how, since the start; for metrics. `cached`: refused without asking. */
export interface ReviewCounts {
  accepted: number;
  refused: number;
  cached: number;
  unavailable: number;
}

/** What a TokenReview's status says, as far as it is read. */
interface ReviewStatus {
  authenticated?: boolean;
  error?: string;
  audiences?: string[];
  user?: { username?: string; groups?: string[]; extra?: Record<string, string[]> };
}

interface BoundIdentity extends TokenIdentity {
  readonly pod: string;
  readonly uid: string;
}

export class TokenReviewer {
  readonly counts: ReviewCounts = { accepted: 0, refused: 0, cached: 0, unavailable: 0 };
  private readonly deps: TokenReviewerDeps;
  /** SHA-256 of a refused token → why, and until when (Unix ms). Tokens themselves are not kept. */
  private readonly refused = new Map<string, { readonly error: string; readonly untilMs: number }>();
  private readonly waiting: (() => void)[] = [];
  private running = 0;
  /** Why the last review got no answer; null: it got one. */
  private failure: { readonly error: string; readonly atMs: number } | null = null;

  constructor(deps: TokenReviewerDeps) {
    this.deps = deps;
  }

  /**
   * Why tokens cannot be verified; '' while they can. Whoever got no answer asks again soon: an old failure without a
   * new one says nothing.
   */
  get problem(): string {
    if (this.failure === null || this.deps.now() - this.failure.atMs > FAILURE_COUNTS_MS) return '';
    return `tokens cannot be verified, and no certificates issued: ${this.failure.error}`;
  }

  /** Whom a token speaks for. Without an answer of the API server: unavailable, never a guess. */
  readonly verify: VerifyToken = async (token) => {
    const hash = createHash('sha256').update(token).digest('base64');
    const known = this.refused.get(hash);
    if (known !== undefined && this.deps.now() < known.untilMs) {
      this.counts.cached++;
      return { error: known.error };
    }
    const implausible = whyImplausible(token, this.deps.now());
    if (implausible !== null) {
      this.counts.refused++;
      return { error: implausible };
    }
    if (this.running >= MOST_REVIEWS) {
      if (this.waiting.length >= MOST_WAITING) return this.unavailable('too many tokens wait to be reviewed');
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    this.running++;
    try {
      const verdict = await this.review(token);
      this.failure = null;
      if ('error' in verdict) this.refuse(hash, verdict.error);
      else this.counts.accepted++;
      return verdict;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      this.failure = { error: error.message, atMs: this.deps.now() };
      return this.unavailable(error.message);
    } finally {
      this.running--;
      this.waiting.shift()?.();
    }
  };

  /** @throws KubeError */
  private async review(token: string): Promise<TokenIdentity | TokenRefusal> {
    const { client } = this.deps;
    const answer = await client.request<{ status?: ReviewStatus }>(
      'POST',
      { kind: KINDS.TokenReview },
      {
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [TOKEN_AUDIENCE] } },
        timeoutMs: REVIEW_TIMEOUT_MS,
      },
    );
    const identity = identityOf(fieldsOf(answer.status));
    return 'error' in identity ? identity : this.checkPod(identity);
  }

  /** The pod must be there and be the one that the token was made for. @throws KubeError */
  private async checkPod(identity: BoundIdentity): Promise<TokenIdentity | TokenRefusal> {
    const { namespace, pod: name } = identity;
    const known = this.deps.podOf(`${namespace}/${name}`);
    // A pod asks as soon as it runs, which may be before our watch shows it; one of the same name may have been
    // replaced.
    if (known !== undefined && whyNotItsPod(known, identity) === null) return identity;
    try {
      const pod = await this.deps.client.request<Pod>('GET', { kind: podKind, namespace, name }, { timeoutMs: REVIEW_TIMEOUT_MS });
      const error = whyNotItsPod(pod, identity);
      return error === null ? identity : { error };
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return { error: 'its pod is gone' };
      throw error;
    }
  }

  private refuse(hash: string, error: string): void {
    this.counts.refused++;
    this.refused.delete(hash);
    this.refused.set(hash, { error, untilMs: this.deps.now() + REFUSED_FOR_MS });
    if (this.refused.size > MOST_REFUSED) this.refused.delete(this.refused.keys().next().value!);
  }

  private unavailable(error: string): TokenRefusal {
    this.counts.unavailable++;
    return { error, unavailable: true };
  }
}

/**
 * Why a token cannot be a good one, as its unverified claims say: saves the API server the question. It never makes one
 * good.
 * @param nowMs Unix ms
 */
function whyImplausible(token: string, nowMs: number): string | null {
  const parts = token.split('.');
  if (parts.length !== 3) return 'not a token';
  let claims: Record<string, unknown>;
  try {
    const value: unknown = JSON.parse(Buffer.from(parts[1]!, 'base64url').toString('utf8'));
    if (typeof value !== 'object' || value === null) return 'not a token';
    claims = value as Record<string, unknown>;
  } catch {
    return 'not a token';
  }
  const audiences = typeof claims.aud === 'string' ? [claims.aud] : entriesOf(claims.aud as unknown[]);
  if (!audiences.includes(TOKEN_AUDIENCE)) return `not for the audience ${TOKEN_AUDIENCE}`;
  if (typeof claims.exp === 'number' && nowMs >= claims.exp * 1000 + CLOCK_SKEW_MS) return 'expired';
  return null;
}

/** The API server's clock decides; ours may be wrong by this much before it matters. */
const CLOCK_SKEW_MS = 120_000;

function identityOf(status: Partial<ReviewStatus>): BoundIdentity | TokenRefusal {
  const { authenticated, error, audiences, user } = status;
  if (authenticated !== true) return { error: textOf(error) || 'the API server does not know the token' };
  // A server that knows nothing of audiences leaves them out, and would take a token that was meant for others.
  if (!entriesOf(audiences).includes(TOKEN_AUDIENCE)) return { error: `not for the audience ${TOKEN_AUDIENCE}` };
  const { username, groups, extra } = fieldsOf(user);
  const parts = (textOf(username) ?? '').split(':');
  const [system, kind, namespace = '', serviceAccount = ''] = parts;
  if (parts.length !== 4 || system !== 'system' || kind !== 'serviceaccount' || !entriesOf(groups).includes(SERVICE_ACCOUNTS))
    return { error: 'not of a ServiceAccount' };
  if (!isNamespace(namespace) || !isServiceAccount(serviceAccount)) return { error: 'not of a ServiceAccount' };
  const pod = textOf(entriesOf(fieldsOf(extra)[POD_NAME])[0]);
  const uid = textOf(entriesOf(fieldsOf(extra)[POD_UID])[0]);
  if (!pod || !uid) return { error: 'not bound to a pod' };
  return { namespace, serviceAccount, pod, uid };
}

function whyNotItsPod(pod: Pod, { serviceAccount, uid }: BoundIdentity): string | null {
  if (fieldsOf(pod.metadata).uid !== uid) return 'its pod was replaced by another of the same name';
  const runsAs = textOf(fieldsOf(pod.spec).serviceAccountName) || 'default';
  return runsAs === serviceAccount ? null : `its pod runs as ServiceAccount ${runsAs}, not ${serviceAccount}`;
}
