// How resources reach one sidecar: what it has, what it refused, what is on its way, what goes out next.
import { create } from '@bufbuild/protobuf';
import { type Ack, type Resource, type SubscribeResponse, SubscribeResponseSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import { nameRank, RESOURCE_ORDER, WORKLOAD_RESOURCE } from '#core/contract/resource-names.ts';
import { inOrder, type Sized } from './resources.ts';

/**
 * A response larger than this is cut in several, each after the ACK of the one before. A single resource goes out
 * whatever its size.
 */
export const RESPONSE_BYTES = 256 * 1024;
/** So many resources, and as many removals, are looked at for one response: that is some milliseconds' work. */
export const RESPONSE_NAMES = 1_000;
const LONGEST_REASON = 1000;

/** A resource as it stands with one sidecar. `unwanted`: it does not get this resource. */
export type Standing =
  | { readonly state: 'unwanted' | 'pending' | 'applied' }
  | { readonly state: 'rejected'; readonly version: string; readonly reason: string };

export interface Rejection {
  readonly name: string;
  readonly version: string;
  readonly reason: string;
}

/** What an ACK brought. */
export interface Acknowledged {
  /** Of this response. */
  readonly rejected: readonly Rejection[];
  /** What the sidecar runs now; `needs` as in Sized. */
  readonly applied: readonly { readonly name: string; readonly needs: readonly string[] }[];
  /** What it no longer has. */
  readonly removed: readonly string[];
}

export interface DeliveryDeps {
  /** The resource as this sidecar should have it; null: it should not. */
  readonly current: (name: string) => Sized | null;
  /** What makes the newest version out of the one that the sidecar has; null: the resource goes out whole. */
  readonly since: (name: string, version: string) => Sized | null;
  /** Whether the sidecar has dropped this resource by itself, be it while it was on its way. */
  readonly isDropped: (name: string) => boolean;
  /** Services to report as absent with the next response. */
  readonly takeAbsent: () => string[];
  /** Unix ms. */
  readonly now: () => number;
  /** Does this later, when others have had their turn. */
  readonly later: (then: () => void) => void;
  readonly send: (response: SubscribeResponse) => void;
}

interface Flight {
  readonly nonce: string;
  /** Unix ms. */
  readonly sentMs: number;
  readonly sent: ReadonlyMap<string, { readonly version: string; readonly needs: readonly string[]; readonly isDelta: boolean }>;
  readonly removed: readonly string[];
}

/**
 * At most one response is under way; what changes meanwhile is only a name in a set, looked up when the next one is
 * made. So a slow sidecar costs its set of names and gets the latest version of each.
 */
export class Delivery {
  /** Responses sent. */
  responses = 0;
  /** Unix ms; 0: the sidecar has acknowledged nothing yet. */
  lastAckMs = 0;
  private readonly deps: DeliveryDeps;
  /** Resource → version that the sidecar has. */
  private readonly inForce = new Map<string, string>();
  private readonly rejections = new Map<string, { readonly version: string; readonly reason: string }>();
  private readonly stale = new Set<string>();
  /** Resources that it has and should not have, when nothing is stale any more. */
  private readonly leaving = new Set<string>();
  private flight: Flight | null = null;
  /** `looking`: it looks for what is different, in pieces. */
  private state: 'not begun' | 'idle' | 'looking' = 'not begun';

  constructor(deps: DeliveryDeps) {
    this.deps = deps;
  }

  /** Unix ms: when the response was sent that is not acknowledged yet; 0: there is none. */
  get sentMs(): number {
    return this.flight?.sentMs ?? 0;
  }

  /** How many resources it has, and how many are on their way to it or wait for their turn. */
  get counts(): { readonly inForce: number; readonly pending: number } {
    return { inForce: this.inForce.size, pending: (this.flight?.sent.size ?? 0) + this.stale.size + this.leaving.size };
  }

  /**
   * The sidecar brings this version along. Names and versions are kept as the resources have them, which all sidecars
   * share. What is the newest already is not looked at again.
   */
  brings(name: string, version: string): void {
    const resource = this.deps.current(name)?.resource;
    if (resource?.version === version) {
      this.inForce.set(resource.name, resource.version);
      this.stale.delete(name);
    } else {
      this.inForce.set(name, version);
      this.stale.add(name);
    }
  }

  /** This resource may be another than the one that the sidecar has. */
  touch(name: string): void {
    this.stale.add(name);
  }

  /** The sidecar has dropped this resource by itself. */
  forget(name: string): void {
    this.inForce.delete(name);
  }

  /** Sends what is different, unless a response is under way: then it follows the ACK. */
  flush(): void {
    if (this.state === 'idle') this.sendNext(false);
  }

  /** Sends the first response, be it empty: the sidecar then knows that it is up to date. */
  begin(): void {
    this.sendNext(true);
  }

  /** Takes an answer; nothing is sent. @returns null: it answers nothing that is under way */
  acknowledge(ack: Ack): Acknowledged | null {
    const { flight } = this;
    if (flight === null || ack.nonce !== flight.nonce) return null;
    this.flight = null;
    this.lastAckMs = this.deps.now();
    const rejected: Rejection[] = [];
    const refused = new Set<string>();
    for (const { name, reason } of ack.rejected) {
      const sent = flight.sent.get(name);
      if (sent === undefined) continue;
      if (sent.isDelta) {
        // Whatever it is that the sidecar has: the whole resource is judged by itself.
        this.inForce.delete(name);
        this.stale.add(name);
        refused.add(name);
        continue;
      }
      const rejection = { version: sent.version, reason: reason.slice(0, LONGEST_REASON) };
      rejected.push({ name, ...rejection });
      refused.add(name);
      this.rejections.set(name, rejection);
    }
    const applied: { name: string; needs: readonly string[] }[] = [];
    for (const [name, { version, needs }] of flight.sent) {
      if (refused.has(name) || this.deps.isDropped(name)) continue;
      this.inForce.set(name, version);
      this.rejections.delete(name);
      applied.push({ name, needs });
    }
    for (const name of flight.removed) {
      this.inForce.delete(name);
      this.rejections.delete(name);
    }
    return { rejected, applied, removed: flight.removed };
  }

  standing(name: string): Standing {
    const current = this.deps.current(name);
    if (current === null) return { state: 'unwanted' };
    const { version } = current.resource;
    if (this.inForce.get(name) === version) return { state: 'applied' };
    const rejection = this.rejections.get(name);
    return rejection?.version === version ? { state: 'rejected', ...rejection } : { state: 'pending' };
  }

  /** Resources whose latest version it refused. */
  rejected(): Rejection[] {
    const names = [...this.rejections.keys()].sort();
    return names.flatMap((name) => {
      const standing = this.standing(name);
      return standing.state === 'rejected' ? [{ name, version: standing.version, reason: standing.reason }] : [];
    });
  }

  /** For people: versions in force and what was refused. */
  dump(): { inForce: Record<string, string>; rejected: Record<string, { version: string; reason: string }>; underWay: string[] } {
    return {
      inForce: Object.fromEntries([...this.inForce].sort()),
      rejected: Object.fromEntries([...this.rejections].sort()),
      underWay: [...(this.flight?.sent.keys() ?? [])],
    };
  }

  private sendNext(evenIfEmpty: boolean): void {
    this.state = 'idle';
    if (this.flight !== null) return;
    const different = this.takeDifferent();
    if (different.length === 0 && this.stale.size > 0) {
      this.state = 'looking';
      this.deps.later(() => this.sendNext(evenIfEmpty));
      return;
    }
    // Removals go with the last part: nothing leaves before its successor is there.
    const removed = this.stale.size > 0 ? [] : this.takeLeaving();
    const absent = this.deps.takeAbsent();
    if (!evenIfEmpty && different.length === 0 && removed.length === 0 && absent.length === 0) return;
    const nonce = String(++this.responses);
    const sent = new Map(different.map(({ resource: { name, version }, needs, isDelta = false }) => [name, { version, needs, isDelta }]));
    this.flight = { nonce, sentMs: this.deps.now(), sent, removed };
    const resources: Resource[] = different.map(({ resource }) => resource);
    this.deps.send(create(SubscribeResponseSchema, { nonce, resources, removed, absent }));
  }

  /** What differs from what the sidecar has, as much as fits, the first kinds first. */
  private takeDifferent(): Sized[] {
    const different: Sized[] = [];
    for (const name of this.nextNames()) {
      this.stale.delete(name);
      const current = this.deps.current(name);
      const has = this.inForce.get(name);
      if (current === null) {
        // A pod that is not known yet is no reason to take the sidecar's own configuration away.
        if (name !== WORKLOAD_RESOURCE && has !== undefined) this.leaving.add(name);
        this.rejections.delete(name);
      } else if (has === current.resource.version) this.rejections.delete(name);
      else if (this.rejections.get(name)?.version !== current.resource.version)
        different.push((has === undefined ? null : this.deps.since(name, has)) ?? current);
    }
    different.sort((a, b) => inOrder(a.resource, b.resource));
    let bytes = 0;
    const over = different.findIndex((one, i) => (bytes += one.bytes) > RESPONSE_BYTES && i > 0);
    if (over !== -1) for (const { resource } of different.splice(over)) this.stale.add(resource.name);
    return different;
  }

  private nextNames(): string[] {
    const names = [...this.stale];
    if (names.length <= RESPONSE_NAMES) return names;
    const byRank = RESOURCE_ORDER.map((): string[] => []);
    for (const name of names) byRank[nameRank(name)].push(name);
    return byRank.flat().slice(0, RESPONSE_NAMES);
  }

  private takeLeaving(): string[] {
    const removed: string[] = [];
    for (const name of this.leaving) {
      if (removed.length === RESPONSE_NAMES) break;
      this.leaving.delete(name);
      // It may have been dropped or wanted meanwhile.
      if (this.inForce.has(name) && this.deps.current(name) === null) removed.push(name);
    }
    return removed.sort();
  }
}
