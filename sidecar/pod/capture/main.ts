// What the sidecar's container starts with: loads the capture rules of its pod, gives up every right that this took,
// and becomes the sidecar. In one container, because each further one costs a pod a second or more until it is Ready
// (docs/decisions/0011).
import { spawn } from 'node:child_process';
import { SIDECAR_USER_ID } from '#core/contract/names.ts';
import { type CommandOutcome, runCapture } from './program.ts';

/** nft answers in milliseconds; this only ends a start that hangs. */
const NFT_TIMEOUT_MS = 20_000;
const LONGEST_OUTPUT = 64 * 1024;

function load(rules: string): Promise<CommandOutcome> {
  return new Promise((resolve) => {
    let stderr = '';
    // Images often leave the administrator's directories out of the path.
    const nft = spawn('nft', ['-f', '-'], {
      stdio: ['pipe', 'ignore', 'pipe'],
      timeout: NFT_TIMEOUT_MS,
      env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
    });
    nft.stderr.on('data', (chunk) => {
      if (stderr.length < LONGEST_OUTPUT) stderr += chunk;
    });
    nft.on('error', (error: NodeJS.ErrnoException) => resolve({ code: null, stderr, failure: error.code ?? error.message }));
    nft.on('close', (code) => resolve({ code, stderr, failure: code === null && nft.killed ? 'ETIMEDOUT' : '' }));
    // It may end before it has read everything: its exit code tells.
    nft.stdin.on('error', () => {});
    nft.stdin.end(rules);
  });
}

const [mark, ...node] = process.argv.slice(2);
if (mark !== undefined && mark !== '--') {
  process.stderr.write(`weft capture: unknown argument ${mark}: after "--" come Node's arguments of the sidecar\n`);
  process.exit(2);
}
const { code, lines } = await runCapture(process.env, load);
for (const line of lines) process[code === 0 ? 'stdout' : 'stderr'].write(`${line}\n`);
process.exitCode = code;
if (code === 0 && mark !== undefined) become(node);

/** Never returns: this process goes on as Node with these arguments, as the sidecar's user, without capabilities. */
function become(args: readonly string[]): never {
  // Groups stay: the container's is the sidecar's already (runAsGroup), and with fsGroup it is one of the others that
  // may read the token.
  process.setuid!(SIDECAR_USER_ID); // from root to another user: the kernel clears all capabilities (capabilities(7))
  process.execve!(process.execPath, [process.execPath, ...args], process.env);
  throw new Error('the sidecar cannot be started'); // execve returns only when it failed
}
