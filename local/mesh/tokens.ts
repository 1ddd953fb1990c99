// The tokens of a run's pods: signed and checked here, in one process, and written where the pods' sidecars read them.
import { TokenIssuer } from '#control-plane/issue/token.ts';
import type { PlannedPod } from '../plan/pods.ts';
import type { SecretFiles } from './secrets.ts';

/** A token lasts this long and is replaced at half of it, as the kubelet does (it starts at 80 %). */
const TOKEN_LIFETIME_MS = 3600_000;

export class PodTokens {
  private readonly secrets: SecretFiles;
  private readonly issuer = new TokenIssuer({ now: Date.now });
  private renewal: NodeJS.Timeout | null = null;

  constructor(secrets: SecretFiles) {
    this.secrets = secrets;
  }

  /** What the control plane checks a sidecar's token with. */
  readonly verify: TokenIssuer['verify'] = (token) => this.issuer.verify(token);

  /** Signs a new token for the pod and puts it in its file. */
  write(pod: PlannedPod): void {
    const { namespace, name, serviceAccount, uid } = pod;
    this.secrets.writeToken(pod, this.issuer.sign({ namespace, serviceAccount, pod: name, uid, lifetimeMs: TOKEN_LIFETIME_MS }));
  }

  /** Replaces the tokens of the pods in time, until `stop`. @param pods gives those of the moment */
  keepFresh(pods: () => readonly PlannedPod[]): void {
    this.renewal = setInterval(() => {
      for (const pod of pods()) this.write(pod);
    }, TOKEN_LIFETIME_MS / 2);
    this.renewal.unref();
  }

  stop(): void {
    if (this.renewal) clearInterval(this.renewal);
    this.renewal = null;
  }
}
