// Runs nft(8), which loads a pod's capture rules, and says what it means when it fails.
import { spawn } from 'node:child_process';

/** How a command ended. */
export interface CommandOutcome {
  /** Exit code; null: it was killed or never ran. */
  readonly code: number | null;
  readonly stderr: string;
  /** The system's error when it could not be started (ENOENT) or took too long (ETIMEDOUT); else ''. */
  readonly failure: string;
}

/** nft answers in milliseconds; this only ends a start that hangs. */
const NFT_TIMEOUT_MS = 20_000;
const LONGEST_OUTPUT = 64 * 1024;
/** So many characters of nft's output are shown, because one mistake repeats for every rule. */
const LONGEST_COMPLAINT = 600;

/**
 * Runs nft with this text as its input. Never rejects.
 * @param env of the process: where its PATH leads
 * @param namespace file descriptor of the network namespace to load into, by nsenter(1); absent: our own
 */
export function runNft(rules: string, env: Readonly<Record<string, string | undefined>>, namespace?: number): Promise<CommandOutcome> {
  const [command, ...args] = [...(namespace === undefined ? [] : ['nsenter', '--net=/proc/self/fd/3']), 'nft', '-f', '-'];
  return new Promise((resolve) => {
    let stderr = '';
    const child = spawn(command, args, {
      stdio: ['pipe', 'ignore', 'pipe', ...(namespace === undefined ? [] : [namespace])],
      timeout: NFT_TIMEOUT_MS,
      // Images often leave the administrator's directories out of the path.
      env: { ...env, PATH: `${env.PATH ?? ''}:/usr/sbin:/sbin` },
    });
    child.stderr?.on('data', (chunk) => {
      if (stderr.length < LONGEST_OUTPUT) stderr += chunk;
    });
    child.on('error', (error: NodeJS.ErrnoException) => resolve({ code: null, stderr, failure: error.code ?? error.message }));
    child.on('close', (code) => resolve({ code, stderr, failure: code === null && child.killed ? 'ETIMEDOUT' : '' }));
    // It may end before it has read everything: its exit code tells.
    child.stdin?.on('error', () => {});
    child.stdin?.end(rules);
  });
}

/** What nft wrote, on one line and cut; '': nothing. */
export function complaintOf({ stderr }: CommandOutcome): string {
  const said = stderr.trim().replaceAll(/\s*\n\s*/g, ' | ');
  return said.length > LONGEST_COMPLAINT ? `${said.slice(0, LONGEST_COMPLAINT)}…` : said;
}

/**
 * What a failed nft means, and what to do about it.
 * @param notAllowed the same where rights are missing
 */
export function whyFailed({ code, stderr, failure }: CommandOutcome, notAllowed: string): string {
  if (failure === 'ENOENT')
    return 'nft(8) or nsenter(1) is not in this image: use the weft image, which has them in /usr/sbin and /usr/bin';
  if (failure === 'ETIMEDOUT') return 'nft(8) did not end in time: another program may hold the rules of this pod';
  if (failure !== '') return `nft(8) could not be run: ${failure}`;
  if (/Operation not permitted|Permission denied|must be root/i.test(stderr))
    return `not allowed to change the rules of this pod: ${notAllowed}`;
  if (/Protocol not supported|Address family not supported/i.test(stderr))
    return "the node's kernel has no nftables: load the module nf_tables on the node";
  if (/No such file or directory|Operation not supported|Could not process rule/i.test(stderr))
    return "the node's kernel refused the rules: it needs 5.2 or later with the modules nf_tables, nft_chain_nat, nft_redir and nf_conntrack";
  return `nft(8) ended with code ${code}`;
}
