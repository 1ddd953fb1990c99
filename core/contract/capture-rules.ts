// The rules that bring a pod's TCP connections to its sidecar, as text for nft(8) (pure). The sidecar's own container
// loads them, or the node agent.
import { type FoundEnvironment, SIDECAR_DEFAULTS } from './environment.ts';
import { SIDECAR_ADMIN_PORT, SIDECAR_INBOUND_PORT, SIDECAR_OUTBOUND_PORT, SIDECAR_USER_ID } from './names.ts';
import { type PortRange, parsePortRanges } from './port-ranges.ts';

/** Family and name of the one table that is ours. */
export const CAPTURE_TABLE = 'inet weft';

export interface CaptureSettings {
  /** Destination ports whose connections reach the application directly. */
  readonly skipInbound: readonly PortRange[];
  /** Destination ports to which the application connects directly. */
  readonly skipOutbound: readonly PortRange[];
}

/**
 * What the sidecar's environment says of its pod's rules.
 * @returns the settings, or one message per mistake
 */
export function readCaptureSettings(env: FoundEnvironment): { settings: CaptureSettings } | { problems: string[] } {
  const inbound = parsePortRanges(env.WEFT_SKIP_INBOUND_PORTS ?? SIDECAR_DEFAULTS.WEFT_SKIP_INBOUND_PORTS);
  const outbound = parsePortRanges(env.WEFT_SKIP_OUTBOUND_PORTS ?? SIDECAR_DEFAULTS.WEFT_SKIP_OUTBOUND_PORTS);
  const problems = [
    ...inbound.problems.map((problem) => `WEFT_SKIP_INBOUND_PORTS: ${problem}`),
    ...outbound.problems.map((problem) => `WEFT_SKIP_OUTBOUND_PORTS: ${problem}`),
  ];
  return problems.length > 0 ? { problems } : { settings: { skipInbound: inbound.ranges, skipOutbound: outbound.ranges } };
}

/**
 * The whole table, replaced in one transaction: loading it again changes nothing, and no connection sees half of it.
 * Only the first packet of a connection meets a nat chain, so connections that stand go on as they are. TCP only; UDP,
 * and with it DNS, is untouched.
 * @returns input for `nft -f -` (nftables 0.9.3 and kernel 5.2 or later: nat in the inet family)
 */
export function captureRules({ skipInbound, skipOutbound }: CaptureSettings): string {
  const user = SIDECAR_USER_ID;
  const toInbound = `meta l4proto tcp counter redirect to :${SIDECAR_INBOUND_PORT}`;
  return `table ${CAPTURE_TABLE} {}
delete table ${CAPTURE_TABLE}
table ${CAPTURE_TABLE} {
  chain inbound {
    type nat hook prerouting priority -100; policy accept;
    iifname "lo" accept comment "the pod's own traffic was judged on its way out"
    tcp dport ${SIDECAR_ADMIN_PORT} accept comment "the sidecar's probes and metrics"
${skipRule(skipInbound, 'skip-inbound-ports')}    ${toInbound} comment "everything else: the sidecar's inbound side"
  }
  chain outbound {
    type nat hook output priority -100; policy accept;
    meta skuid ${user} ip saddr 127.0.0.1 ip daddr != 127.0.0.0/8 ${toInbound} comment "the sidecar calls its own pod"
    meta skuid ${user} ip6 saddr ::1 ip6 daddr != ::1 ${toInbound} comment "the sidecar calls its own pod"
    meta skuid ${user} accept comment "the sidecar's own connections"
    oifname "lo" accept comment "the application calls itself"
    tcp dport 53 accept comment "DNS over TCP"
${skipRule(skipOutbound, 'skip-outbound-ports')}    meta l4proto tcp counter redirect to :${SIDECAR_OUTBOUND_PORT} comment "everything else: the sidecar's outbound side"
  }
}
`;
}

function skipRule(ranges: readonly PortRange[], why: string): string {
  if (ranges.length === 0) return '';
  const set = ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
  return `    tcp dport { ${set} } accept comment "${why}"\n`;
}
