// weft.v1.Certificates/Issue: a ServiceAccount token and a public key in, a certificate out. The identity comes from
// the token alone.
import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type handleUnaryCall, type Metadata, type ServiceError, status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { AuthorityError } from '#certs/authority.ts';
import type { AuthorityInUse } from '#certs/in-use.ts';
import { type IssueRequest, type IssueResponse, IssueResponseSchema } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { type Logger, silentLogger } from '#core/program/log.ts';
import { RateLimit } from '#core/program/rate-limit.ts';
import { readIssueRequest } from './request.ts';
import { ipOfPeer } from './server-credentials.ts';
import { LARGEST_TOKEN, type TokenIdentity, type VerifyToken } from './token.ts';

/** Certificates that one pod may ask for: so many per minute, and so many at once. */
export const DEFAULT_ISSUE_PER_MINUTE = 60;
export const DEFAULT_ISSUE_BURST = 30;
/**
 * Calls with a bad token or none that one address may make: so many per minute, and so many at once. Beyond that
 * nothing of such a call is looked at.
 */
export const BAD_TOKENS_PER_MINUTE = 60;
export const BAD_TOKENS_BURST = 30;
/** The same words for every token that is not taken, so that guessing teaches nothing. */
const BAD_TOKEN = 'a valid ServiceAccount token is needed';

export interface IssueDeps {
  /** null while it is not loaded yet: callers are asked to try again. */
  readonly authority: () => AuthorityInUse | null;
  readonly verifyToken: VerifyToken;
  /** Unix ms. */
  readonly now: () => number;
  /** Called for each certificate that goes out. */
  readonly onIssued?: (caller: TokenIdentity, notAfterMs: number) => void;
  readonly log?: Logger;
  readonly perMinute?: number;
  readonly burst?: number;
}

/** How many calls ended how, since the start; for metrics. */
export interface IssueCounts {
  issued: number;
  unauthenticated: number;
  invalid: number;
  limited: number;
  unavailable: number;
}

/** A refusal on its way to the client: gRPC status and what the client may read. */
class Refusal extends Error {
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

export class IssueService {
  readonly counts: IssueCounts = { issued: 0, unauthenticated: 0, invalid: 0, limited: 0, unavailable: 0 };
  private readonly deps: IssueDeps;
  private readonly log: Logger;
  private readonly limit: RateLimit;
  private readonly badTokens: RateLimit;
  /**
   * By the token's hash: to verify one asks the API server, so a pod's calls must be limited before their pod is known.
   */
  private readonly tokens: RateLimit;

  constructor(deps: IssueDeps) {
    this.deps = deps;
    this.log = deps.log ?? silentLogger;
    const { perMinute = DEFAULT_ISSUE_PER_MINUTE, burst = DEFAULT_ISSUE_BURST } = deps;
    this.limit = new RateLimit(perMinute, burst, deps.now);
    this.tokens = new RateLimit(perMinute, burst, deps.now);
    this.badTokens = new RateLimit(BAD_TOKENS_PER_MINUTE, BAD_TOKENS_BURST, deps.now);
  }

  /** For `server.addService(serviceDefinition(Certificates), service.handlers())`. */
  handlers(): UntypedServiceImplementation {
    const issue: handleUnaryCall<IssueRequest, IssueResponse> = (call, callback) => {
      this.issue(call.metadata, call.request, call.getPeer()).then(
        (response) => callback(null, response),
        (error: unknown) => callback(toServiceError(error)),
      );
    };
    return { issue };
  }

  /**
   * The order matters: nothing of a caller without a token is looked at, and nothing costly is done for one that asks
   * too often.
   * @throws Refusal
   */
  private async issue(metadata: Metadata, request: IssueRequest, peer: string): Promise<IssueResponse> {
    const caller = await this.authenticate(metadata, peer);
    const about = { namespace: caller.namespace, serviceAccount: caller.serviceAccount, pod: caller.pod, peer };
    if (!this.limit.take(`${caller.namespace}/${caller.serviceAccount}/${caller.uid ?? caller.pod ?? ''}`))
      throw this.limited(about, 'asked too often');
    const read = await readIssueRequest(request);
    if (!read.ok) throw this.invalid(about, read.reason);
    const authority = this.deps.authority();
    if (authority === null) throw this.unavailable(about, 'the authority is not loaded yet');
    // Taken before anything is waited for: the roots are never older than what signs.
    const { signing } = authority;
    if (signing.isOwnKey(read.publicKey)) throw this.invalid(about, 'this key cannot be certified');
    try {
      const { namespace, serviceAccount, uid = '' } = caller;
      const leaf = await signing.issue(read.publicKey, namespace, serviceAccount, Number(request.lifetimeSeconds) * 1000, uid);
      this.counts.issued++;
      this.deps.onIssued?.(caller, leaf.notAfterMs);
      this.log.info('certificate issued', { ...about, identity: leaf.identity, notAfter: new Date(leaf.notAfterMs).toISOString() });
      return create(IssueResponseSchema, {
        chain: [...leaf.chain],
        roots: [...authority.roots()],
        trustDomain: authority.trustDomain,
        identity: leaf.identity,
        notBeforeMs: BigInt(leaf.notBeforeMs),
        notAfterMs: BigInt(leaf.notAfterMs),
        generation: BigInt(authority.generation),
        signing: signing.id,
      });
    } catch (error) {
      if (error instanceof AuthorityError) throw this.unavailable(about, error.message);
      throw error;
    }
  }

  private async authenticate(metadata: Metadata, peer: string): Promise<TokenIdentity> {
    // Taken before it is known whether the token is bad: of calls that come at the same time, too, only so many are
    // looked at.
    const address = ipOfPeer(peer);
    if (!this.badTokens.take(address)) throw this.limited({ peer }, 'too many bad tokens from this address');
    const values = metadata.get('authorization');
    const match = values.length === 1 ? /^bearer +(\S+)$/i.exec(String(values[0])) : null;
    if (match === null) throw this.unauthenticated(peer, values.length === 0 ? 'no token' : 'not one bearer token');
    const token = match[1]!;
    if (token.length > LARGEST_TOKEN) throw this.unauthenticated(peer, 'token too large');
    if (!this.tokens.take(createHash('sha256').update(token).digest('base64'))) {
      this.badTokens.giveBack(address);
      throw this.limited({ peer }, 'this token was shown too often');
    }
    const verdict = await this.deps.verifyToken(token);
    if (!('error' in verdict) || verdict.unavailable) this.badTokens.giveBack(address);
    if (!('error' in verdict)) return verdict;
    if (verdict.unavailable) throw this.unavailable({ peer }, `tokens cannot be verified now: ${verdict.error}`);
    throw this.unauthenticated(peer, verdict.error);
  }

  private unauthenticated(peer: string, reason: string): Refusal {
    this.counts.unauthenticated++;
    this.log.warn('certificate refused: bad token', { peer, reason });
    return new Refusal(status.UNAUTHENTICATED, BAD_TOKEN);
  }

  /** Whoever asks without measure shall not fill the log either. */
  private limited(about: object, reason: string): Refusal {
    this.counts.limited++;
    this.log.debug('certificate refused', { ...about, reason });
    return new Refusal(status.RESOURCE_EXHAUSTED, 'certificates are asked for too often');
  }

  private invalid(about: object, reason: string): Refusal {
    this.counts.invalid++;
    this.log.warn('certificate refused', { ...about, reason });
    return new Refusal(status.INVALID_ARGUMENT, reason);
  }

  private unavailable(about: object, reason: string): Refusal {
    this.counts.unavailable++;
    this.log.warn('certificate refused for now', { ...about, reason });
    return new Refusal(status.UNAVAILABLE, 'certificates cannot be issued now');
  }
}

function toServiceError(error: unknown): Partial<ServiceError> {
  if (error instanceof Refusal) return { code: error.code, details: error.message };
  // A bug is ours: it ends the process (design: manners), not this one call.
  process.nextTick(() => {
    throw error;
  });
  return { code: status.INTERNAL, details: 'internal error' };
}
