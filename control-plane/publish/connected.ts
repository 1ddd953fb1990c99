// The sidecars that are connected, by their identities and by their pods.
import type { Peer, Subscriber } from './subscriber.ts';

export class Connected {
  private readonly byIdentity = new Map<string, Subscriber>();
  /** "<namespace>/<pod>" → several only where certificates of different accounts claim one pod. */
  private readonly byPod = new Map<string, Set<Subscriber>>();

  add(subscriber: Subscriber): void {
    this.byIdentity.set(identityOf(subscriber.peer), subscriber);
    const pod = podOf(subscriber.peer);
    this.byPod.set(pod, (this.byPod.get(pod) ?? new Set()).add(subscriber));
  }

  /** @returns false: it is not connected, such as when another has taken its place */
  remove(subscriber: Subscriber): boolean {
    const identity = identityOf(subscriber.peer);
    if (this.byIdentity.get(identity) !== subscriber) return false;
    this.byIdentity.delete(identity);
    const pod = podOf(subscriber.peer);
    const others = this.byPod.get(pod)!;
    others.delete(subscriber);
    if (others.size === 0) this.byPod.delete(pod);
    return true;
  }

  get(peer: Peer): Subscriber | undefined {
    return this.byIdentity.get(identityOf(peer));
  }

  all(): readonly Subscriber[] {
    return [...this.byIdentity.values()];
  }

  /** @param pod "<namespace>/<pod>" */
  ofPod(pod: string): readonly Subscriber[] {
    return [...(this.byPod.get(pod) ?? [])];
  }
}

/** `<namespace>/<pod>` */
export function podOf(peer: Peer): string {
  return `${peer.namespace}/${peer.pod}`;
}

/** The pod with its ServiceAccount: another account's sidecar cannot take a pod's place. */
export function identityOf(peer: Peer): string {
  return `${podOf(peer)} (${peer.serviceAccount})`;
}
