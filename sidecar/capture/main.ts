// The program of the init container: loads the capture rules of its pod and ends.
import { spawn } from 'node:child_process';
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

const { code, lines } = await runCapture(process.env, load);
for (const line of lines) process[code === 0 ? 'stdout' : 'stderr'].write(`${line}\n`);
process.exitCode = code;
