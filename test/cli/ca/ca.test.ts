// `weft ca`: what it says of each phase, what it refuses and why, and wrong words.
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { layOutAuthority } from '#cli/ca/layout.ts';
import { type AuthorityStanding, standingOf, whyNoFinish, whyNoRotation } from '#cli/ca/standing.ts';
import type { ReplicaAnswer } from '#cli/cluster/replicas.ts';
import { PLAIN } from '#cli/print/style.ts';
import { runProgram } from '#cli/program.ts';
import type { AuthorityView, StatusView } from '#core/contract/view.ts';

const NOW_MS = Date.parse('2026-12-01T00:00:00Z');
const HOUR_MS = 3600_000;
const OWN = { id: '0123456789abcdef', subject: 'O=weft, CN=test.local', root: 'O=weft, CN=test.local', notAfterMs: NOW_MS + 48 * HOUR_MS };
const NEXT = { ...OWN, id: 'fedcba9876543210', subject: 'CN=issuer', root: 'CN=root' };
const STEADY: AuthorityView = {
  phase: 'steady',
  signing: OWN,
  next: null,
  managedBy: 'Weft',
  rotatesAtMs: NOW_MS + 32 * HOUR_MS,
  sinceMs: 0,
  retired: [],
  roots: 1,
  generation: 7,
  waitsFor: [],
  leavesOfOld: [],
  refused: '',
};
const DISTRIBUTING: AuthorityView = {
  ...STEADY,
  phase: 'distributing',
  next: NEXT,
  sinceMs: NOW_MS - 12_000,
  roots: 2,
  waitsFor: ['1 sidecar of cp-1 to trust the roots: shop/slow'],
};
const RETIRING: AuthorityView = {
  ...STEADY,
  phase: 'retiring',
  signing: NEXT,
  managedBy: '',
  rotatesAtMs: 0,
  roots: 2,
  retired: [{ subject: OWN.subject, untilMs: NOW_MS + 23 * HOUR_MS }],
  leavesOfOld: ['2 sidecars of cp-1 whose certificate is not known to be of the new authority: shop/a, shop/b'],
};

function answer(pod: string, leader: boolean, authority?: AuthorityView): ReplicaAnswer {
  return { pod, report: { ok: true, value: { leader, ...(authority && { authority }) } as StatusView } };
}

const standing = (authority: AuthorityView): AuthorityStanding => standingOf([answer('cp-1', true, authority)]);
const shown = (authority: AuthorityView): string => layOutAuthority(standing(authority), NOW_MS, PLAIN).join('\n');

describe('weft ca', () => {
  it('goes by what the leader says, and names replicas that are behind or do not answer', () => {
    const behind = { ...STEADY, generation: 6 };
    const { authority, ...rest } = standingOf([
      answer('cp-0', false, behind),
      answer('cp-1', true, DISTRIBUTING),
      { pod: 'cp-2', report: { ok: false, error: 'no route' } },
    ]);
    expect(authority).to.equal(DISTRIBUTING);
    expect(rest).to.deep.equal({ leader: 'cp-1', behind: ['cp-0'], unreachable: ['cp-2: no route'] });
    expect(standingOf([answer('cp-0', false, behind)])).to.include({ authority: behind, leader: '' });
    expect(standingOf([answer('cp-0', true)])).to.include({ authority: null, leader: '' });
  });

  it('says of each phase what it waits for, and until when', () => {
    expect(shown(STEADY)).to.equal(
      [
        'authority   O=weft, CN=test.local (0123456789abcdef), good until 2026-12-03T00:00:00.000Z (in 2d)',
        'renewed by  Weft itself, 2026-12-02T08:00:00.000Z (in 1d8h)',
        'phase       steady: one authority signs, 1 root is trusted',
      ].join('\n'),
    );
    expect(shown(DISTRIBUTING).split('\n').slice(2)).to.deep.equal([
      'phase       distributing for 12s: the next one signs when all that are there trust its root; 2 roots are trusted',
      'next        CN=issuer under CN=root (fedcba9876543210), good until 2026-12-03T00:00:00.000Z (in 2d)',
      'waits for   1 sidecar of cp-1 to trust the roots: shop/slow',
    ]);
    expect(shown(RETIRING).split('\n').slice(1)).to.deep.equal([
      'renewed by  whoever put it into the Secret',
      'phase       retiring: the new one signs, old roots stay until no certificate of theirs can live; 2 roots are trusted',
      'old root    O=weft, CN=test.local, dropped 2026-12-01T23:00:00.000Z (in 23h)',
      'finish      old roots are needed still, waiting for 2 sidecars of cp-1 whose certificate is not known to be of the new authority: shop/a, shop/b; by itself it ends at 2026-12-01T23:00:00.000Z',
    ]);
    expect(shown({ ...RETIRING, leavesOfOld: [] })).to.contain(
      'finish      possible now, no certificate of an old root is in use: weft ca finish',
    );
    expect(shown({ ...STEADY, refused: 'its key is of another certificate\u001b[2J' })).to.match(
      /refused {5}what is in the Secret cannot be used: its key is of another certificate$/,
    );
  });

  it('refuses a rotation that is under way, that others make, or that nobody would do', () => {
    expect(whyNoRotation(standing(STEADY))).to.equal('');
    expect(whyNoRotation(standing(DISTRIBUTING))).to.contain('under way: CN=issuer');
    expect(whyNoRotation(standing({ ...STEADY, managedBy: 'cert-manager Certificate mesh' }))).to.contain(
      'renewed by cert-manager Certificate mesh',
    );
    expect(whyNoRotation(standing({ ...STEADY, managedBy: '' })))
      .to.contain('Weft did not make this authority')
      .and.contain('--take-over');
    expect(whyNoRotation(standing({ ...STEADY, managedBy: '' }), true)).to.equal('');
    expect(whyNoRotation(standing(DISTRIBUTING), true)).to.contain('under way');
    expect(whyNoRotation(standingOf([answer('cp-0', false, STEADY)]))).to.contain('no control plane leads');
    expect(whyNoRotation(standingOf([]))).to.contain('no control plane says');
  });

  it('refuses to finish before the new authority signs, while a leaf of the old one lives, and where there is nothing', () => {
    expect(whyNoFinish(standing(STEADY))).to.contain('nothing is to be finished');
    expect(whyNoFinish(standing(DISTRIBUTING))).to.contain('does not sign yet');
    expect(whyNoFinish(standing(RETIRING)))
      .to.contain('shop/a')
      .and.contain('2026-12-01T23:00:00.000Z');
    expect(whyNoFinish(standing({ ...RETIRING, leavesOfOld: [] }))).to.equal('');
    expect(whyNoFinish(standingOf([answer('cp-0', false, RETIRING)]))).to.contain('no control plane leads');
  });

  it('knows three words, and says why where there is no cluster', async () => {
    const weft = async (...words: string[]): Promise<{ code: number; err: string }> => {
      let err = '';
      const into = (take: (text: string) => void) =>
        new Writable({ write: (chunk, _, done) => done(void take(String(chunk)) as undefined) });
      const stderr = into((text) => (err += text));
      const code = await runProgram(words, { stdout: into(() => {}), stderr, env: { KUBECONFIG: '/nowhere/kubeconfig' } });
      return { code, err };
    };
    expect(await weft('ca', 'rotat')).to.include({ code: 2 });
    expect(await weft('ca', 'finish', '--take-over')).to.include({ code: 2 });
    const { code, err } = await weft('ca', 'rotate');
    expect(code).to.equal(1);
    expect(err).to.match(/^weft: .*\/nowhere\/kubeconfig.*\n$/);
  });
});
