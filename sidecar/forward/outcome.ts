// How a call ended, as the counters read it: times, octets, statuses, and what went wrong.
import type { ProxyError } from './errors.ts';
import type { CallTrace } from './trace.ts';

/** The caller and its transport: fixed for a direction and peer. */
export interface CallOrigin {
  readonly direction: 'outbound' | 'inbound';
  /** Outbound: this workload, "ns/name". Inbound: the peer's SPIFFE id, '' for plaintext. */
  caller(): string;
  /** Inbound: whether the peer came over mTLS; null: the call's own endpoint decides. */
  readonly mtls: boolean | null;
}

/** Valid only inside ended(). Times are monotonic ms. */
export interface CallOutcome {
  readonly origin: CallOrigin;
  readonly startMs: number;
  readonly endMs: number;
  /** Octets of DATA from the client, and to it. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** The endpoint's, of its final response headers; 0: they never came. */
  readonly httpStatus: number;
  /** 0 to 16; other protocols: what their HTTP status maps to. */
  readonly grpcStatus: number;
  /** The proxy's own answer, or the reason why it broke off the endpoint's; null: the answer is the endpoint's. */
  readonly error: ProxyError | null;
  /** The client gave up. */
  readonly cancelled: boolean;
  /** null: nothing of the call is recorded, and trace context passes as it came. */
  readonly trace: CallTrace | null;
}
