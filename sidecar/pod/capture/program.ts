// The capture program: settings from the environment, rules to nft(8), one line about the outcome. It runs once, before
// anything else in the pod.
import { type FoundEnvironment, SIDECAR_DEFAULTS } from '#core/contract/environment.ts';
import { SIDECAR_INBOUND_PORT, SIDECAR_OUTBOUND_PORT } from '#core/contract/names.ts';
import { formatPortRanges, type PortRange, parsePortRanges } from '#core/contract/port-ranges.ts';
import { CAPTURE_TABLE, captureRules } from './rules.ts';

/** How a command ended. */
export interface CommandOutcome {
  /** Exit code; null: it was killed or never ran. */
  readonly code: number | null;
  readonly stderr: string;
  /** The system's error when it could not be started (ENOENT) or took too long (ETIMEDOUT); else ''. */
  readonly failure: string;
}

/** Runs nft with `-f -` and this text as its input. Never rejects. */
export type LoadRules = (rules: string) => Promise<CommandOutcome>;

/** So many characters of nft's output are shown, because one mistake repeats for every rule. */
const LONGEST_COMPLAINT = 600;

/**
 * Loads the capture rules; again and again if asked, with the same result.
 * @returns the lines to print, and the exit code: 0 done, 1 the system refused, 2 the settings are wrong
 */
export async function runCapture(env: FoundEnvironment, load: LoadRules): Promise<{ code: number; lines: readonly string[] }> {
  const inbound = parsePortRanges(env.WEFT_SKIP_INBOUND_PORTS ?? SIDECAR_DEFAULTS.WEFT_SKIP_INBOUND_PORTS);
  const outbound = parsePortRanges(env.WEFT_SKIP_OUTBOUND_PORTS ?? SIDECAR_DEFAULTS.WEFT_SKIP_OUTBOUND_PORTS);
  const problems = [
    ...inbound.problems.map((problem) => `WEFT_SKIP_INBOUND_PORTS: ${problem}`),
    ...outbound.problems.map((problem) => `WEFT_SKIP_OUTBOUND_PORTS: ${problem}`),
  ];
  if (problems.length > 0) return { code: 2, lines: problems.map((problem) => `weft capture: ${problem}`) };
  const outcome = await load(captureRules({ skipInbound: inbound.ranges, skipOutbound: outbound.ranges }));
  if (outcome.code !== 0 || outcome.failure !== '') {
    const said = outcome.stderr.trim().replaceAll(/\s*\n\s*/g, ' | ');
    const shown = said.length > LONGEST_COMPLAINT ? `${said.slice(0, LONGEST_COMPLAINT)}…` : said;
    return { code: 1, lines: [`weft capture: ${whyFailed(outcome)}`, ...(shown === '' ? [] : [`weft capture: nft said: ${shown}`])] };
  }
  const done =
    `table ${CAPTURE_TABLE} is loaded: inbound TCP goes to port ${SIDECAR_INBOUND_PORT}${except(inbound.ranges)}, ` +
    `outbound TCP to port ${SIDECAR_OUTBOUND_PORT}${except(outbound.ranges)}`;
  return { code: 0, lines: [`weft capture: ${done}`] };
}

/** What a failed nft means, and what to do about it. */
export function whyFailed({ code, stderr, failure }: CommandOutcome): string {
  if (failure === 'ENOENT') return 'nft(8) is not in this image: use the weft image, which has it as /usr/sbin/nft';
  if (failure === 'ETIMEDOUT') return 'nft(8) did not end in time: another program may hold the rules of this pod';
  if (failure !== '') return `nft(8) could not be run: ${failure}`;
  if (/Operation not permitted|Permission denied|must be root/i.test(stderr))
    return 'not allowed to change the rules of this pod: the container needs runAsUser 0 and the capability NET_ADMIN, which a Pod Security level of baseline or restricted forbids';
  if (/Protocol not supported|Address family not supported/i.test(stderr))
    return "the node's kernel has no nftables: load the module nf_tables on the node";
  if (/No such file or directory|Operation not supported|Could not process rule/i.test(stderr))
    return "the node's kernel refused the rules: it needs 5.2 or later with the modules nf_tables, nft_chain_nat, nft_redir and nf_conntrack";
  return `nft(8) ended with code ${code}`;
}

function except(ranges: readonly PortRange[]): string {
  if (ranges.length === 0) return '';
  return ` except ${formatPortRanges(ranges)}`;
}
