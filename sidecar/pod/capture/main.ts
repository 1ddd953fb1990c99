// What the sidecar's container starts with: loads the capture rules of its pod, gives up every right that this took,
// and becomes the sidecar. In one container, because each further one costs a pod a second or more until it is Ready
// (docs/decisions/0011).
import { SIDECAR_USER_ID } from '#core/contract/names.ts';
import { runNft } from '#core/program/nft.ts';
import { runCapture } from './program.ts';

const [mark, ...node] = process.argv.slice(2);
if (mark !== undefined && mark !== '--') {
  process.stderr.write(`weft capture: unknown argument ${mark}: after "--" come Node's arguments of the sidecar\n`);
  process.exit(2);
}
const { code, lines } = await runCapture(process.env, (rules) => runNft(rules, process.env));
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
