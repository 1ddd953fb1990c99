// Which Services this workload sends to, and what is known of each: it waits for an answer, or has one.

/** 'unknown': it is not asked about, because too many are. */
export type Presence = 'present' | 'absent' | 'unknown';

/** One more is answered 'unknown'. The control plane takes twice as many of one sidecar. */
export const MOST_WANTED_SERVICES = 10_000;

interface Waiting {
  readonly answer: Promise<Presence>;
  readonly resolve: (presence: Presence) => void;
}

const ABSENT: Promise<Presence> = Promise.resolve('absent');

const PRESENT: Promise<Presence> = Promise.resolve('present');

export class Wants {
  static readonly UNKNOWN: Promise<Presence> = Promise.resolve('unknown');
  /** Connections to one Service share one promise: a burst of them makes one want. */
  private readonly services = new Map<string, Waiting | Promise<Presence>>();

  /** @param isHeld the Service is in force already, perhaps because a sibling wanted it */
  ask(service: string, isHeld: boolean): { readonly answer: Promise<Presence>; readonly isNew: boolean } {
    const known = this.services.get(service);
    if (known !== undefined) return { answer: known instanceof Promise ? known : known.answer, isNew: false };
    if (this.services.size >= MOST_WANTED_SERVICES) return { answer: Wants.UNKNOWN, isNew: false };
    if (isHeld) {
      this.services.set(service, PRESENT);
      return { answer: PRESENT, isNew: true };
    }
    let resolve: (presence: Presence) => void = () => {};
    const answer = new Promise<Presence>((done) => {
      resolve = done;
    });
    this.services.set(service, { answer, resolve });
    return { answer, isNew: true };
  }

  /** What the control plane says of a Service; it may change later, when the Service comes or goes. */
  answer(service: string, presence: 'present' | 'absent'): void {
    const known = this.services.get(service);
    if (known === undefined) return;
    this.services.set(service, presence === 'present' ? PRESENT : ABSENT);
    if (!(known instanceof Promise)) known.resolve(presence);
  }

  /** All that were asked for. */
  all(): string[] {
    return [...this.services.keys()];
  }
}
