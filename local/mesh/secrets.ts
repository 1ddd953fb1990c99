// The run's temporary directory: the pods' tokens and the roots by which sidecars trust the control plane. For this
// user alone; removed at the end.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class SecretFiles {
  readonly directory: string;
  readonly trustBundle: string;

  constructor() {
    // mkdtemp makes it 0700.
    this.directory = mkdtempSync(join(tmpdir(), 'weft-run-'));
    this.trustBundle = join(this.directory, 'roots.pem');
  }

  writeTrustBundle(pem: string): void {
    this.write(this.trustBundle, pem);
  }

  tokenFile(pod: { namespace: string; name: string }): string {
    return join(this.directory, `token-${pod.namespace}-${pod.name}`);
  }

  writeToken(pod: { namespace: string; name: string }, token: string): void {
    this.write(this.tokenFile(pod), token);
  }

  removeToken(pod: { namespace: string; name: string }): void {
    rmSync(this.tokenFile(pod), { force: true });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  // Renamed into place: a reader sees the old one or the new one, never half of one.
  private write(file: string, text: string): void {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}
