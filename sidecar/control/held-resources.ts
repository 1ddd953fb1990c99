// Which versions of resources are in force here, and which were refused: a new stream reports the first, status pages
// show both.
import type { Rejection, SubscribeResponse } from '#core/contract/gen/weft/v1/config_pb.ts';

export class HeldResources {
  /** In force: resource name → version. */
  readonly versions = new Map<string, string>();
  /** Refused and not replaced since: resource name → reason. */
  readonly refused = new Map<string, string>();
  /** Versions that were refused since the start. */
  rejections = 0;

  /**
   * Notes a response that was applied.
   * @param rejections its resources that could not be used: of these the last good version stays
   */
  note({ resources, removed }: SubscribeResponse, rejections: readonly Rejection[]): void {
    const reasons = new Map(rejections.map(({ name, reason }) => [name, reason]));
    for (const { name, version } of resources) {
      const reason = reasons.get(name);
      if (reason !== undefined) this.refused.set(name, reason);
      else {
        this.versions.set(name, version);
        this.refused.delete(name);
      }
    }
    for (const name of removed) {
      this.versions.delete(name);
      this.refused.delete(name);
    }
    this.rejections += rejections.length;
  }

  /** The next version of it is new, whatever was in force before. */
  forget(name: string): void {
    this.versions.delete(name);
  }
}
