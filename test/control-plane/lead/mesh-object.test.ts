// The XMesh object: what is done about it as it stands, and that it comes to rest.
import { expect } from 'chai';
import { MeshObject, nextMesh, SUPPORTED_FEATURES } from '#control-plane/lead/mesh-object.ts';
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KINDS, KubeError } from '#kube/api.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { until } from '../../support/until.ts';

const NOW = '2026-01-01T00:00:00Z';
const MESH = { kind: KINDS.XMesh, name: 'weft' };
const ours = (more: object = {}) => ({ metadata: { name: 'weft', generation: 1 }, spec: { controllerName: CONTROLLER_NAME }, ...more });

describe('control-plane/lead: mesh-object', () => {
  it('claims features in the order that the API wants', () => {
    expect(SUPPORTED_FEATURES).to.deep.equal([...SUPPORTED_FEATURES].sort());
  });

  it('makes what is missing and leaves alone what is of others', () => {
    expect(nextMesh(undefined, NOW)).to.deep.equal({ do: 'create' });
    expect(nextMesh(ours({ spec: { controllerName: 'example.com/mesh' } }), NOW)).to.deep.equal({ do: 'nothing' });
    expect(nextMesh(ours({ spec: undefined }), NOW)).to.deep.equal({ do: 'nothing' });
  });

  it('accepts its own in place of the preset, keeps the conditions of others, then rests', () => {
    const preset = {
      type: 'Accepted',
      status: 'Unknown',
      reason: 'Pending',
      message: 'Waiting',
      lastTransitionTime: '1970-01-01T00:00:00Z',
    };
    const other = { type: 'Programmed', status: 'Unknown', reason: 'Pending', message: '', lastTransitionTime: '1970-01-01T00:00:00Z' };
    const deed = nextMesh(ours({ status: { conditions: [preset, other] } }), NOW);
    if (deed.do !== 'status') throw new Error(deed.do);
    const [accepted, second] = deed.status.conditions!;
    expect(accepted).to.include({ type: 'Accepted', status: 'True', observedGeneration: 1, lastTransitionTime: NOW });
    expect(second).to.equal(other);
    expect(nextMesh(ours({ status: deed.status }), '2027-01-01T00:00:00Z')).to.deep.equal({ do: 'nothing' });
    const edited = nextMesh({ ...ours({ status: deed.status }), metadata: { name: 'weft', generation: 2 } }, '2027-01-01T00:00:00Z');
    expect(edited.do === 'status' && edited.status.conditions![0]).to.include({ observedGeneration: 2, lastTransitionTime: NOW });
  });

  it('is made by the leader alone, gets its status, and is looked after', async () => {
    const api = new FakeApi();
    const mesh = new MeshObject({ client: api, name: 'weft', timers: systemTimers, random: () => 0.5, log: silentLogger });
    mesh.start();
    await until(() => mesh.status().synced, 'the list is there');
    expect(api.writes).to.have.length(0);
    mesh.lead(true);
    const features = () => (api.get(MESH)?.status as { supportedFeatures?: unknown[] } | undefined)?.supportedFeatures?.length;
    await until(() => features() === SUPPORTED_FEATURES.length, 'the status is written');
    expect(api.writes[0]!.body!.spec).to.deep.equal({ controllerName: CONTROLLER_NAME });
    api.put(MESH, { ...api.get(MESH)!, status: {} });
    await until(() => features() === SUPPORTED_FEATURES.length, 'the status is written again');
    const before = api.writes.length;
    api.put(MESH, ours({ spec: { controllerName: 'example.com/mesh' }, status: {} }));
    await until(() => mesh.problem !== '', 'it is reported that the object is of another');
    expect(mesh.problem).to.include('example.com/mesh');
    expect(api.writes).to.have.length(before);
    mesh.stop();
  });

  it('names what keeps it from being written, once, until it can be', async () => {
    const api = new FakeApi();
    const warned: string[] = [];
    const log = { ...silentLogger, warn: (message: string) => void warned.push(message), child: () => silentLogger };
    const hasty: Timers = { now: Date.now, after: (ms, then) => systemTimers.after(Math.min(ms, 2), then) };
    const mesh = new MeshObject({ client: api, name: 'weft', timers: hasty, random: () => 0.5, log });
    api.intercept = ({ method }) => {
      if (method === 'POST') throw new KubeError('403 xmeshes is forbidden', 403, 'Forbidden');
      return undefined;
    };
    mesh.lead(true);
    mesh.start();
    await until(() => api.writes.length > 3, 'it is tried again');
    expect(mesh.problem).to.equal('XMesh weft cannot be written: 403 xmeshes is forbidden');
    expect(warned).to.deep.equal([mesh.problem]);
    api.intercept = () => undefined;
    await until(() => mesh.problem === '' && api.get(MESH)?.status !== undefined, 'all is well');
    api.put(MESH, ours({ spec: { controllerName: 'example.com/mesh' }, status: {} }));
    await until(() => mesh.problem.includes('example.com/mesh'), 'it is reported that the object is of another');
    mesh.lead(false);
    expect(mesh.problem).to.equal('');
    mesh.stop();
  });
});
