// `weft check` about sidecars that have become old: certificates that have expired, settings that have changed since.
import { expect } from 'chai';
import type { Check } from '#cli/check/check.ts';
import { evaluate } from '#cli/check/evaluate.ts';
import type { Facts } from '#cli/check/facts.ts';
import { deployment, facts, ok, report, shopPod, unread } from './facts.ts';

const IMAGE = { name: 'WEFT_IMAGE', value: 'localhost/weft:0.1.0' };

function find(change: Partial<Facts>, id: string): Check | undefined {
  return evaluate(facts(change)).find((check) => check.id === id);
}

const installedWith = (...env: { name: string; value?: string }[]): Partial<Facts> => ({
  deployments: ok([deployment('weft-control-plane'), deployment('weft-injector', [IMAGE, ...env])]),
});

describe('weft check, sidecars that have become old', () => {
  it('finds the settings of the injector in its Deployment, also where a value is empty or of the downward API', () => {
    expect(find({}, 'settings')).to.include({ state: 'ok' });
    const same = installedWith({ name: 'WEFT_SIDECAR_CPU_LIMIT' }, { name: 'WEFT_POD_NAME' }, { name: 'WEFT_LOG_LEVEL', value: 'debug' });
    expect(find(same, 'settings'), "the injector's own log level is no setting of pods").to.include({ state: 'ok' });
  });

  it('names pods that were injected before values changed, and how they get the new ones', () => {
    for (const env of [
      { name: 'WEFT_TRACING_ENDPOINT', value: 'http://jaeger.weft-observability:4318' },
      { name: 'WEFT_SIDECAR_LOG_LEVEL', value: 'debug' },
      { name: 'WEFT_DRAIN_SECONDS', value: '5' },
    ]) {
      const check = find(installedWith(env), 'settings');
      expect(check).to.include({ state: 'warning', text: '1 pod injected with settings that have changed since' });
      expect(check?.details).to.deep.equal(['shop/payment-7f6d-aaaaa']);
      expect(check?.hint).to.include('kubectl -n shop rollout restart');
    }
    const older = shopPod('payment-7f6d-aaaaa');
    delete older.metadata!.annotations!['weft.dev/injected-settings'];
    expect(find({ pods: ok([older]) }, 'settings'), 'of a Weft that did not write them').to.include({ state: 'warning' });
  });

  it('does not judge what another version has injected, or what could not be read', () => {
    const answers = [{ pod: 'weft-control-plane-5d9c-abcde', report: ok(report({ version: '0.2.0' })) }];
    expect(find({ answers }, 'settings')).to.include({ state: 'skipped' });
    expect(find({ deployments: unread('no') }, 'settings')).to.equal(undefined);
    expect(find({ pods: ok([]) }, 'settings')).to.equal(undefined);
    expect(find({ deployments: ok([deployment('weft-injector', [{ name: 'WEFT_IMAGE' }])]) }, 'settings')).to.include({ state: 'skipped' });
  });

  it('sees a certificate that has expired by what its sidecar says', () => {
    expect(find({}, 'expired')).to.equal(undefined);
    const words = 'certificate expired at 2026-11-21T11:00:00.000Z, and there is no new one: control plane: ECONNREFUSED';
    const sidecarWords = new Map([
      ['shop/payment-7f6d-aaaaa', words],
      ['shop/payment-7f6d-bbbbb', 'stopping'],
    ]);
    const check = find({ sidecarWords }, 'expired');
    expect(check).to.include({ state: 'failed' });
    expect(check?.details).to.deep.equal([`shop/payment-7f6d-aaaaa: ${words}`]);
    expect(check?.hint).to.include('kubectl -n shop logs payment-7f6d-aaaaa -c weft-proxy');
  });
});
