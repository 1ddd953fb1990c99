// Tokens by TokenReview: which pods they speak for, what is refused, what happens without an API server and under a
// flood.
import { expect } from 'chai';
import { MOST_REVIEWS, MOST_WAITING, REFUSED_FOR_MS, TokenReviewer } from '#control-plane/issue/token-review.ts';
import { KubeError } from '#kube/api.ts';
import { type Pod, podKind } from '#objects/pod.ts';
import { FakeApi } from '../../support/fake-api.ts';

const POD = { kind: podKind, namespace: 'shop', name: 'checkout-1' };
const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews';

function token(claims: object = {}, signature = 's'): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part({ aud: ['weft'], exp: 2_000, ...claims })}.${signature}`;
}

function accepted(changes: { audiences?: string[]; username?: string; groups?: string[]; extra?: Record<string, string[]> } = {}) {
  const { audiences = ['weft'], username = 'system:serviceaccount:shop:checkout', groups = ['system:serviceaccounts'] } = changes;
  const extra = changes.extra ?? {
    'authentication.kubernetes.io/pod-name': ['checkout-1'],
    'authentication.kubernetes.io/pod-uid': ['uid-1'],
  };
  return { status: { authenticated: true, audiences, user: { username, groups, extra } } };
}

describe('control-plane/issue: token-review', () => {
  let api: FakeApi;
  let known: Pod | undefined;
  let nowMs: number;
  let reviewer: TokenReviewer;
  let review: unknown;

  beforeEach(() => {
    api = new FakeApi();
    nowMs = 1_000_000;
    known = { metadata: { name: 'checkout-1', namespace: 'shop', uid: 'uid-1' }, spec: { serviceAccountName: 'checkout' } };
    review = accepted();
    api.intercept = ({ path }) => (path === REVIEWS ? review : undefined);
    reviewer = new TokenReviewer({ client: api, podOf: (key) => (key === 'shop/checkout-1' ? known : undefined), now: () => nowMs });
  });

  it('finds the pod of a token, asking with our audience', async () => {
    const good = token();
    expect(await reviewer.verify(good)).to.deep.equal({ namespace: 'shop', serviceAccount: 'checkout', pod: 'checkout-1', uid: 'uid-1' });
    expect(api.asked).to.have.length(1);
    expect(api.asked[0]!.body!.spec).to.deep.equal({ token: good, audiences: ['weft'] });
  });

  const BAD: Record<string, [unknown, RegExp]> = {
    'not known to the API server': [{ status: { authenticated: false, error: 'token expired' } }, /^token expired$/],
    'without a status': [{}, /does not know/],
    'from a server that ignores audiences': [accepted({ audiences: [] }), /audience/],
    'for another audience': [accepted({ audiences: ['https://kubernetes.default.svc'] }), /audience/],
    'of a person': [accepted({ username: 'jane' }), /not of a ServiceAccount/],
    'of a node': [accepted({ username: 'system:node:worker', groups: ['system:nodes'] }), /not of a ServiceAccount/],
    'of a name that looks like an account, without the group': [accepted({ groups: ['system:authenticated'] }), /not of a ServiceAccount/],
    'of a malformed account': [accepted({ username: 'system:serviceaccount:a:b:c' }), /not of a ServiceAccount/],
    'bound to no pod': [accepted({ extra: {} }), /not bound to a pod/],
  };
  for (const [what, [answer, reason]] of Object.entries(BAD)) {
    it(`refuses a token ${what}`, async () => {
      review = answer;
      expect(await reviewer.verify(token()))
        .to.have.property('error')
        .that.matches(reason);
      expect(reviewer.counts).to.include({ refused: 1, accepted: 0 });
    });
  }

  it('does not ask about what cannot be a token of ours', async () => {
    for (const bad of ['', 'garbage', 'a.b.c', token({ aud: ['vault'] }), token({ exp: 500 })]) {
      expect(await reviewer.verify(bad)).to.have.property('error');
    }
    expect(api.asked).to.have.length(0);
  });

  describe('the pod', () => {
    it('is asked of the API server when the watch has not shown it yet', async () => {
      known = undefined;
      api.put(POD, { metadata: { uid: 'uid-1' }, spec: { serviceAccountName: 'checkout' } });
      expect(await reviewer.verify(token())).to.include({ pod: 'checkout-1' });
    });

    it('is asked too when the one we know has another uid: it may have been replaced', async () => {
      known = { ...known!, metadata: { uid: 'uid-0' } };
      api.put(POD, { metadata: { uid: 'uid-1' }, spec: { serviceAccountName: 'checkout' } });
      expect(await reviewer.verify(token())).to.include({ uid: 'uid-1' });
    });

    it('must be there, be the same and run as the ServiceAccount', async () => {
      known = undefined;
      expect(await reviewer.verify(token({}, 'a'))).to.deep.equal({ error: 'its pod is gone' });
      api.put(POD, { metadata: { uid: 'uid-2' }, spec: { serviceAccountName: 'checkout' } });
      expect(await reviewer.verify(token({}, 'b')))
        .to.have.property('error')
        .that.matches(/replaced/);
      api.put(POD, { metadata: { uid: 'uid-1' }, spec: {} });
      expect(await reviewer.verify(token({}, 'c')))
        .to.have.property('error')
        .that.matches(/runs as ServiceAccount default/);
    });
  });

  it('cannot say anything without an API server, and remembers nothing of it', async () => {
    api.intercept = () => {
      throw new KubeError('connect ECONNREFUSED', 0, 'ECONNREFUSED');
    };
    expect(await reviewer.verify(token())).to.deep.equal({ error: 'connect ECONNREFUSED', unavailable: true });
    expect(reviewer.problem).to.equal('tokens cannot be verified, and no certificates issued: connect ECONNREFUSED');
    nowMs += 61_000;
    expect(reviewer.problem, 'no caller asks any more').to.equal('');
    expect(await reviewer.verify(token())).to.include({ unavailable: true });
    expect(reviewer.problem).to.not.equal('');
    api.intercept = () => accepted();
    expect(await reviewer.verify(token())).to.include({ pod: 'checkout-1' });
    expect(reviewer.problem).to.equal('');
  });

  it('is unavailable, not refused, when only the pod cannot be asked for', async () => {
    known = undefined;
    api.intercept = ({ path }) => {
      if (path === REVIEWS) return review;
      throw new KubeError('503', 503, 'ServiceUnavailable');
    };
    expect(await reviewer.verify(token())).to.include({ unavailable: true });
  });

  describe('a flood', () => {
    it('of one bad token is one review in a while', async () => {
      review = { status: { authenticated: false } };
      const bad = token();
      for (let i = 0; i < 100; i++) expect(await reviewer.verify(bad)).to.have.property('error');
      expect(api.asked).to.have.length(1);
      nowMs += REFUSED_FOR_MS;
      await reviewer.verify(bad);
      expect(api.asked).to.have.length(2);
    });

    it('waits in a line of known length', async () => {
      const held: (() => void)[] = [];
      api.intercept = () => new Promise((resolve) => held.push(() => resolve(accepted())));
      const all = Array.from({ length: MOST_REVIEWS + MOST_WAITING + 5 }, (_, i) => reviewer.verify(token({}, `s${i}`)));
      const last = await all.at(-1)!;
      expect(last).to.include({ unavailable: true });
      expect(api.asked).to.have.length(MOST_REVIEWS);
      const release = setInterval(() => {
        for (const then of held.splice(0)) then();
      }, 0);
      const verdicts = await Promise.all(all);
      clearInterval(release);
      expect(verdicts.filter((one) => 'pod' in one)).to.have.length(MOST_REVIEWS + MOST_WAITING);
    });
  });
});
