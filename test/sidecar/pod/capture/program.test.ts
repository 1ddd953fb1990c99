// The capture program with an nft that is made up: what it loads, what it says, how it ends.
import { expect } from 'chai';
import { type CommandOutcome, whyFailed } from '#core/program/nft.ts';
import { runCapture } from '#sidecar/pod/capture/program.ts';

const OK: CommandOutcome = { code: 0, stderr: '', failure: '' };

function failed(stderr: string): CommandOutcome {
  return { code: 1, stderr, failure: '' };
}

describe('capture program', () => {
  it('loads the rules and says in one line what it did', async () => {
    const loaded: string[] = [];
    const env = { WEFT_SKIP_INBOUND_PORTS: '80,8000-8100', WEFT_SKIP_OUTBOUND_PORTS: '' };
    const { code, lines } = await runCapture(env, async (rules) => {
      loaded.push(rules);
      return OK;
    });
    expect(code).to.equal(0);
    expect(lines).to.deep.equal([
      'weft capture: table inet weft is loaded: inbound TCP goes to port 15006 except 80,8000-8100, outbound TCP to port 15001',
    ]);
    expect(loaded).to.have.length(1);
    expect(loaded[0]).to.contain('tcp dport { 80, 8000-8100 } accept');
  });

  it('loads nothing when settings are wrong, and reports all of them', async () => {
    const env = { WEFT_SKIP_INBOUND_PORTS: '80,x', WEFT_SKIP_OUTBOUND_PORTS: '0' };
    const { code, lines } = await runCapture(env, () => Promise.reject(new Error('loaded')));
    expect(code).to.equal(2);
    expect(lines).to.have.length(2);
    expect(lines[0]).to.contain('WEFT_SKIP_INBOUND_PORTS: "x"');
    expect(lines[1]).to.contain('WEFT_SKIP_OUTBOUND_PORTS: "0"');
  });

  it('reports why nft failed, and what nft wrote', async () => {
    const { code, lines } = await runCapture({}, async () =>
      failed('netlink: Error: cache initialization failed: Operation not permitted\n'),
    );
    expect(code).to.equal(1);
    expect(lines[0]).to.contain('NET_ADMIN');
    expect(lines[1]).to.equal('weft capture: nft said: netlink: Error: cache initialization failed: Operation not permitted');
  });

  it('cuts what nft says', async () => {
    const { lines } = await runCapture({}, async () => failed('Error: Could not process rule\n'.repeat(1000)));
    expect(lines[1]!.length).to.be.lessThan(700);
  });

  it('knows the ways of failing apart', () => {
    const cases: [CommandOutcome, RegExp][] = [
      [{ code: null, stderr: '', failure: 'ENOENT' }, /not in this image/],
      [{ code: null, stderr: '', failure: 'ETIMEDOUT' }, /did not end in time/],
      [{ code: null, stderr: '', failure: 'EACCES' }, /could not be run: EACCES/],
      [failed('Error: Could not process rule: Operation not permitted'), /NET_ADMIN/],
      [failed('Unable to initialize Netlink socket: Protocol not supported'), /has no nftables/],
      [failed('/dev/stdin:5:5-60: Error: Could not process rule: No such file or directory'), /nft_chain_nat/],
      [failed('Error: Could not process rule: Operation not supported'), /nft_chain_nat/],
      [failed(''), /ended with code 1/],
    ];
    for (const [outcome, expected] of cases) expect(whyFailed(outcome, 'NET_ADMIN')).to.match(expected);
  });
});
