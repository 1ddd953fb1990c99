// Session affinity of one backend: the endpoint that this workload's calls keep to. A sidecar serves one pod, so there
// is one client, and one endpoint for it (decision 14).
import type { EndpointState } from './endpoint-state.ts';

export class Affinity {
  /** The endpoint is kept until no call was made for so long, in ms. */
  lengthMs: number;
  private kept: EndpointState | null = null;
  private usedAtMs = 0;

  constructor(lengthMs: number) {
    this.lengthMs = lengthMs;
  }

  /** The endpoint that is kept; null: there is none yet, its time is over, or it has left the set. */
  at(nowMs: number): EndpointState | null {
    const { kept } = this;
    return kept?.listed && nowMs - this.usedAtMs < this.lengthMs ? kept : null;
  }

  /** A call goes to the endpoint: further ones follow it. @returns the endpoint */
  keep(endpoint: EndpointState | null, nowMs: number): EndpointState | null {
    this.kept = endpoint;
    this.usedAtMs = nowMs;
    return endpoint;
  }
}
