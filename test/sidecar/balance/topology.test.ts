// Which endpoints a workload uses by where it runs, as kube-proxy chooses them.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { type Endpoint, EndpointSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { endpointsFor } from '#sidecar/balance/topology.ts';

const HERE = { node: 'node-a', zone: 'z1' };
const at = (address: string, more: MessageInitShape<typeof EndpointSchema> = {}): Endpoint =>
  create(EndpointSchema, { ...more, address, port: 80 } as MessageInitShape<typeof EndpointSchema>);
const used = (endpoints: Endpoint[], local = false, location = HERE) =>
  endpointsFor(endpoints, local, location).map(({ address }) => address);

describe('sidecar/balance: topology', () => {
  it('uses all endpoints, and the same array, where nothing is said', () => {
    const all = [at('a'), at('b')];
    expect(endpointsFor(all, false, HERE)).to.equal(all);
  });

  it('uses those that terminate only where no other is', () => {
    expect(used([at('a', { terminating: true }), at('b')])).to.deep.equal(['b']);
    expect(used([at('a', { terminating: true }), at('b', { terminating: true })])).to.deep.equal(['a', 'b']);
  });

  describe('with internalTrafficPolicy Local', () => {
    const there = [at('a', { node: 'node-a' }), at('b', { node: 'node-b' })];

    it('uses those on the own node alone', () => {
      expect(used(there, true)).to.deep.equal(['a']);
    });

    it('uses none where none is on the node, or where the node is not known', () => {
      expect(used(there, true, { node: 'node-c', zone: 'z1' })).to.deep.equal([]);
      expect(used([...there, at('c')], true, { node: '', zone: '' })).to.deep.equal([]);
    });

    it('uses one on the node that terminates rather than one elsewhere', () => {
      expect(used([at('a', { node: 'node-a', terminating: true }), at('b', { node: 'node-b' })], true)).to.deep.equal(['a']);
    });

    it('leaves hints aside', () => {
      expect(used([at('a', { node: 'node-a', hintZones: ['z2'] }), at('b', { node: 'node-a', hintZones: ['z1'] })], true)).to.deep.equal([
        'a',
        'b',
      ]);
    });
  });

  describe('with hints', () => {
    const [near, far] = [at('a', { hintZones: ['z1', 'z3'] }), at('b', { hintZones: ['z2'] })];

    it('uses those that are meant for the own zone', () => {
      expect(used([near, far])).to.deep.equal(['a']);
    });

    it('uses all where one has no hint, where none is meant for here, and where the zone is not known', () => {
      expect(used([near, far, at('c')])).to.deep.equal(['a', 'b', 'c']);
      expect(used([far])).to.deep.equal(['b']);
      expect(used([near, far], false, { node: 'node-a', zone: '' })).to.deep.equal(['a', 'b']);
    });

    it('prefers the node to the zone, if each endpoint has a hint of a node', () => {
      const own = at('a', { hintZones: ['z1'], hintNodes: ['node-a'] });
      const other = at('b', { hintZones: ['z1'], hintNodes: ['node-b'] });
      expect(used([own, other])).to.deep.equal(['a']);
      expect(used([own, other], false, { node: 'node-c', zone: 'z1' })).to.deep.equal(['a', 'b']);
      expect(used([own, near])).to.deep.equal(['a', 'a']);
    });

    it('asks those that are ready alone for hints', () => {
      expect(used([near, far, at('c', { terminating: true })])).to.deep.equal(['a']);
    });
  });
});
