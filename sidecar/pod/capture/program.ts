// The capture program: settings from the environment, rules to nft(8), one line about the outcome. It runs once, before
// anything else in the pod.
import { CAPTURE_TABLE, captureRules, readCaptureSettings } from '#core/contract/capture-rules.ts';
import type { FoundEnvironment } from '#core/contract/environment.ts';
import { SIDECAR_INBOUND_PORT, SIDECAR_OUTBOUND_PORT } from '#core/contract/names.ts';
import { formatPortRanges, type PortRange } from '#core/contract/port-ranges.ts';
import { type CommandOutcome, complaintOf, whyFailed } from '#core/program/nft.ts';

/** Runs nft with `-f -` and this text as its input. Never rejects. */
export type LoadRules = (rules: string) => Promise<CommandOutcome>;

const NOT_ALLOWED =
  'the container needs runAsUser 0 and the capability NET_ADMIN, which a Pod Security level of baseline or restricted forbids';

/**
 * Loads the capture rules; again and again if asked, with the same result.
 * @returns the lines to print, and the exit code: 0 done, 1 the system refused, 2 the settings are wrong
 */
export async function runCapture(env: FoundEnvironment, load: LoadRules): Promise<{ code: number; lines: readonly string[] }> {
  const read = readCaptureSettings(env);
  if ('problems' in read) return { code: 2, lines: read.problems.map((problem) => `weft capture: ${problem}`) };
  const outcome = await load(captureRules(read.settings));
  if (outcome.code !== 0 || outcome.failure !== '') {
    const said = complaintOf(outcome);
    const lines = [whyFailed(outcome, NOT_ALLOWED), ...(said === '' ? [] : [`nft said: ${said}`])];
    return { code: 1, lines: lines.map((line) => `weft capture: ${line}`) };
  }
  const { skipInbound, skipOutbound } = read.settings;
  const done =
    `table ${CAPTURE_TABLE} is loaded: inbound TCP goes to port ${SIDECAR_INBOUND_PORT}${except(skipInbound)}, ` +
    `outbound TCP to port ${SIDECAR_OUTBOUND_PORT}${except(skipOutbound)}`;
  return { code: 0, lines: [`weft capture: ${done}`] };
}

function except(ranges: readonly PortRange[]): string {
  if (ranges.length === 0) return '';
  return ` except ${formatPortRanges(ranges)}`;
}
