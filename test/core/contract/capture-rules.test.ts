// The text of the capture rules. That a kernel takes them, and what they do then, is test/cluster/capture's.
import { expect } from 'chai';
import { captureRules } from '#core/contract/capture-rules.ts';

const ALL_CAPTURED = `table inet weft {}
delete table inet weft
table inet weft {
  chain inbound {
    type nat hook prerouting priority -100; policy accept;
    iifname "lo" accept comment "the pod's own traffic was judged on its way out"
    tcp dport 15020 accept comment "the sidecar's probes and metrics"
    meta l4proto tcp counter redirect to :15006 comment "everything else: the sidecar's inbound side"
  }
  chain outbound {
    type nat hook output priority -100; policy accept;
    meta skuid 2102 ip saddr 127.0.0.1 ip daddr != 127.0.0.0/8 meta l4proto tcp counter redirect to :15006 comment "the sidecar calls its own pod"
    meta skuid 2102 ip6 saddr ::1 ip6 daddr != ::1 meta l4proto tcp counter redirect to :15006 comment "the sidecar calls its own pod"
    meta skuid 2102 accept comment "the sidecar's own connections"
    oifname "lo" accept comment "the application calls itself"
    tcp dport 53 accept comment "DNS over TCP"
    meta l4proto tcp counter redirect to :15001 comment "everything else: the sidecar's outbound side"
  }
}
`;

describe('capture rules', () => {
  it('without settings capture everything', () => {
    expect(captureRules({ skipInbound: [], skipOutbound: [] })).to.equal(ALL_CAPTURED);
  });

  it('skip the ports of each direction just before its redirect', () => {
    const text = captureRules({
      skipInbound: [
        { from: 80, to: 80 },
        { from: 8000, to: 8100 },
      ],
      skipOutbound: [{ from: 25, to: 25 }],
    });
    const expected = ALL_CAPTURED.replace(
      /^( *)(meta l4proto tcp counter redirect to :15006)/m,
      '$1tcp dport { 80, 8000-8100 } accept comment "skip-inbound-ports"\n$1$2',
    ).replace(/^( *)(meta l4proto tcp counter redirect to :15001)/m, '$1tcp dport { 25 } accept comment "skip-outbound-ports"\n$1$2');
    expect(text).to.equal(expected);
  });
});
