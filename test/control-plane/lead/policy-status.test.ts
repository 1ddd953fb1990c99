// What the status of an XTelemetryPolicy becomes, and how it is written.
import { expect } from 'chai';
import { MOST_ANCESTORS, nextAncestors, PolicyStatusWriter } from '#control-plane/lead/policy-status.ts';
import type { PolicyVerdict } from '#control-plane/translate/policies/telemetry.ts';
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import { KubeError } from '#kube/api.ts';
import type { Condition } from '#objects/condition.ts';
import { type PolicyAncestorEntry, telemetryPolicyKind, type XTelemetryPolicy } from '#objects/telemetry-policy.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { until } from '../../support/until.ts';

const NOW = '2026-01-01T00:00:00Z';
const REF = { group: '', kind: 'Namespace', name: 'shop' };
const PATH = { kind: telemetryPolicyKind, namespace: 'shop', name: 'p' };
const accepted: Condition = { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'in force', observedGeneration: 1 };
const foreign: PolicyAncestorEntry = { ancestorRef: { name: 'g' }, controllerName: 'example.com/x', conditions: [{ type: 'Accepted' }] };

const verdict = (stored: readonly PolicyAncestorEntry[], conditions: readonly Condition[] | null = [accepted]): PolicyVerdict => ({
  policy: { metadata: { namespace: 'shop', name: 'p', generation: 1 }, status: { ancestors: [...stored] } } as XTelemetryPolicy,
  ancestors: conditions === null ? [] : [{ ref: REF, conditions }],
});

describe('control-plane/lead: policy-status', () => {
  it('adds its entry behind those of others, then rests', () => {
    const first = nextAncestors(verdict([foreign]), NOW)!;
    expect(first).to.deep.equal([
      foreign,
      { ancestorRef: REF, controllerName: CONTROLLER_NAME, conditions: [{ ...accepted, lastTransitionTime: NOW }] },
    ]);
    expect(nextAncestors(verdict(first), '2027-01-01T00:00:00Z')).to.equal(undefined);
    expect(nextAncestors(verdict(first, null), NOW)).to.deep.equal([foreign]);
    expect(nextAncestors(verdict([foreign], null), NOW)).to.equal(undefined);
  });

  it('leaves a full list alone', () => {
    const full = Array.from({ length: MOST_ANCESTORS }, () => foreign);
    expect(nextAncestors(verdict(full), NOW)).to.equal(undefined);
  });

  it('is written by the leader, once for each version; what is refused is a problem until it is not', async () => {
    const api = new FakeApi();
    api.put(PATH, { metadata: { generation: 1 }, spec: {} });
    let refused = true;
    api.intercept = ({ method }) => {
      if (refused && method === 'PUT') throw new KubeError('forbidden', 403, 'Forbidden');
      return undefined;
    };
    const writer = new PolicyStatusWriter({
      client: api,
      verdicts: () => {
        const policy = api.get(PATH) as unknown as XTelemetryPolicy;
        return [{ policy, ancestors: [{ ref: REF, conditions: [accepted] }] }];
      },
      stillLeading: () => true,
      // Nothing waits long.
      timers: { ...systemTimers, after: (ms, then) => systemTimers.after(Math.min(ms, 5), then) },
      log: silentLogger,
    });
    writer.touch();
    expect(api.asked).to.have.length(0);
    writer.lead(true);
    await until(() => writer.problem !== '', 'the refusal is reported');
    expect(writer.problem).to.equal('the status of XTelemetryPolicy shop/p cannot be written: forbidden');
    refused = false;
    await until(() => (api.get(PATH)!.status as { ancestors?: unknown[] } | undefined)?.ancestors?.length === 1, 'it is written');
    await until(() => writer.problem === '', 'the problem is over');
    const before = api.writes.length;
    writer.touch();
    writer.stop();
    expect(api.writes).to.have.length(before);
  });
});
