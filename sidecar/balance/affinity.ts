// Session affinity of one backend: the endpoint that this workload's calls keep to. A sidecar serves one pod, so there
// is one client, and one endpoint for it (decision 14).
import type { EndpointState } from './endpoint-state.ts';

export class Affinity {
  /** The endpoint is kept until no call was made for so long, in ms. */
  lengthMs: number;
  private kept: EndpointState | null = null;
  /** It took the calls that the kept one refused: were each drawn anew, they would be spread over all others. */
  private substitute: EndpointState | null = null;
  private usedAtMs = 0;

  constructor(lengthMs: number) {
    this.lengthMs = lengthMs;
  }

  /** The endpoint that is kept; null: there is none yet, its time is over, or it has left the set. */
  at(nowMs: number): EndpointState | null {
    return this.fresh(this.kept, nowMs);
  }

  /** The endpoint to take instead, for a call or for good; null: any. */
  substituteAt(nowMs: number): EndpointState | null {
    return this.fresh(this.substitute, nowMs);
  }

  /** A call goes to the endpoint: further ones follow it. @returns the endpoint */
  keep(endpoint: EndpointState | null, nowMs: number): EndpointState | null {
    if (endpoint !== this.kept) this.substitute = null;
    this.kept = endpoint;
    this.usedAtMs = nowMs;
    return endpoint;
  }

  /** One call goes to the endpoint, because the kept one did not take it. @returns the endpoint */
  lend(endpoint: EndpointState | null): EndpointState | null {
    if (endpoint !== this.kept) this.substitute = endpoint;
    return endpoint;
  }

  private fresh(endpoint: EndpointState | null, nowMs: number): EndpointState | null {
    return endpoint?.listed && nowMs - this.usedAtMs < this.lengthMs ? endpoint : null;
  }
}
