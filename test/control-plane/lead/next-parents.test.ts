// The etiquette of status.parents: examples by name, and what must hold whatever stands there.
import { expect } from 'chai';
import fc from 'fast-check';
import { APPLIED, MOST_ENTRY_CONDITIONS, MOST_PARENTS, nextParents, type WantedParent } from '#control-plane/lead/next-parents.ts';
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import type { Condition } from '#objects/condition.ts';
import type { RouteParentEntry } from '#objects/route.ts';

const NOW = '2026-01-02T03:04:05Z';
const BEFORE = '2025-01-01T00:00:00Z';
const OTHER = 'example.com/gateway';

function condition(type: string, status: Condition['status'] = 'True', more: Partial<Condition> = {}): Condition {
  return { type, status, reason: type, message: 'as it should be', observedGeneration: 2, ...more };
}

function wanted(
  name: string,
  conditions = [condition('Accepted'), condition('ResolvedRefs')],
  more: Partial<WantedParent> = {},
): WantedParent {
  return { parentRef: { group: '', kind: 'Service', name }, conditions, ...more };
}

function entry(
  name: string,
  conditions = [condition('Accepted'), condition('ResolvedRefs')],
  controllerName = CONTROLLER_NAME,
): RouteParentEntry {
  const stored = conditions.map((one) => ({ ...one, lastTransitionTime: BEFORE }));
  return { parentRef: { group: '', kind: 'Service', name }, controllerName, conditions: stored };
}

const next = (stored: RouteParentEntry[] | undefined, ...parents: WantedParent[]) => nextParents(stored, 'shop', parents, NOW).parents;

describe('control-plane/lead: next-parents', () => {
  it('puts entries of a new route in the order of its parentRefs', () => {
    expect(next(undefined, wanted('a'), wanted('b'))).to.deep.equal([
      {
        parentRef: { group: '', kind: 'Service', name: 'a' },
        controllerName: CONTROLLER_NAME,
        conditions: [
          { ...condition('Accepted'), lastTransitionTime: NOW },
          { ...condition('ResolvedRefs'), lastTransitionTime: NOW },
        ],
      },
      {
        parentRef: { group: '', kind: 'Service', name: 'b' },
        controllerName: CONTROLLER_NAME,
        conditions: [
          { ...condition('Accepted'), lastTransitionTime: NOW },
          { ...condition('ResolvedRefs'), lastTransitionTime: NOW },
        ],
      },
    ]);
  });

  it('writes nothing when all stands as it should', () => {
    expect(next([entry('x', [], OTHER), entry('a')], wanted('a'))).to.equal(undefined);
    expect(next([entry('x', [], OTHER)])).to.equal(undefined);
    expect(next(undefined)).to.equal(undefined);
  });

  it('changes a transition time with the status alone', () => {
    const [first] = next(
      [entry('a')],
      wanted('a', [condition('Accepted', 'False', { reason: 'Other' }), condition('ResolvedRefs', 'True', { message: 'new' })]),
    )!;
    expect(first!.conditions!.map(({ lastTransitionTime }) => lastTransitionTime)).to.deep.equal([NOW, BEFORE]);
    expect(first!.conditions!.map(({ message }) => message)).to.deep.equal(['as it should be', 'new']);
  });

  it('leaves entries of others where and as they are, whatever they hold', () => {
    const foreign = [entry('a', [condition('Accepted', 'False')], OTHER), null as unknown as RouteParentEntry, entry('b', [], OTHER)];
    const after = next([foreign[0]!, entry('a', []), foreign[1]!, foreign[2]!], wanted('a'), wanted('new'))!;
    expect(after.map((one) => one?.controllerName)).to.deep.equal([OTHER, CONTROLLER_NAME, undefined, OTHER, CONTROLLER_NAME]);
    for (const [i, one] of [0, 2, 3].entries()) expect(after[one]).to.equal(foreign[i]);
  });

  it('leaves conditions of others inside our entry where they are, and takes ours away', () => {
    const stored = entry('a', [
      condition('PartiallyInvalid'),
      condition('example.com/Seen'),
      condition('Accepted'),
      condition('ResolvedRefs'),
    ]);
    expect(next([stored], wanted('a'))![0]!.conditions!.map(({ type }) => type)).to.deep.equal([
      'example.com/Seen',
      'Accepted',
      'ResolvedRefs',
    ]);
  });

  it('keeps what is to be kept', () => {
    const stored = entry('a', [condition('Accepted'), condition('ResolvedRefs'), condition(APPLIED, 'False')]);
    expect(next([stored], wanted('a', undefined, { keep: [APPLIED] }))).to.equal(undefined);
    expect(next([stored], wanted('a'))![0]!.conditions).to.have.length(2);
  });

  it('takes our entry away with its parentRef', () => {
    expect(next([entry('a'), entry('x', [], OTHER), entry('b')], wanted('b'))!.map(({ parentRef }) => parentRef!.name)).to.deep.equal([
      'x',
      'b',
    ]);
    expect(next([entry('a')])).to.deep.equal([]);
  });

  it('leaves alone what was judged at a newer generation', () => {
    expect(next([entry('a', [condition('Accepted', 'False', { observedGeneration: 3 })])], wanted('a'))).to.equal(undefined);
  });

  it('knows a parent after defaulting, and writes it as the route has it', () => {
    const stored: RouteParentEntry = { ...entry('a'), parentRef: { group: 'core', kind: 'Service', name: 'a', namespace: 'shop' } };
    expect(next([stored], wanted('a'))).to.deep.equal([entry('a')]);
    const ported: WantedParent = { ...wanted('a'), parentRef: { group: '', kind: 'Service', name: 'a', port: 80 } };
    expect(next([entry('a')], wanted('a'), ported)).to.have.length(2);
  });

  it('goes no further than the API allows, and says what is left', () => {
    const full = Array.from({ length: MOST_PARENTS - 1 }, (_, i) => entry(`x${i}`, [], OTHER));
    const { parents, left } = nextParents(full, 'shop', [wanted('a'), wanted('b')], NOW);
    expect([parents!.length, left]).to.deep.equal([MOST_PARENTS, 1]);
    const crowded = entry(
      'a',
      Array.from({ length: MOST_ENTRY_CONDITIONS - 1 }, (_, i) => condition(`example.com/C${i}`)),
    );
    expect(next([crowded], wanted('a'))![0]!.conditions!.map(({ type }) => type))
      .to.include('Accepted')
      .and.have.length(MOST_ENTRY_CONDITIONS);
  });

  describe('whatever stands there', () => {
    const type = fc.constantFrom('Accepted', 'ResolvedRefs', 'PartiallyInvalid', APPLIED, 'example.com/Own');
    const status = fc.constantFrom<Condition['status']>('True', 'False', 'Unknown');
    const conditions = fc.uniqueArray(
      fc.record({ type, status, reason: fc.constantFrom('A', 'B'), generation: fc.integer({ min: 1, max: 3 }) }),
      {
        selector: (one) => one.type,
      },
    );
    const entries = fc.uniqueArray(
      fc.record({ name: fc.constantFrom('a', 'b', 'c'), controller: fc.constantFrom(CONTROLLER_NAME, OTHER, 'example.org/x'), conditions }),
      { selector: (one) => `${one.name} ${one.controller}` },
    );
    const stored = entries.map((list) =>
      list.map(({ name, controller, conditions: some }) =>
        entry(
          name,
          some.map((one) => condition(one.type, one.status, { reason: one.reason, observedGeneration: one.generation })),
          controller,
        ),
      ),
    );
    const parents = fc
      .uniqueArray(fc.record({ name: fc.constantFrom('a', 'b', 'd'), status, applied: fc.option(status) }), { selector: (one) => one.name })
      .map((list) =>
        list.map(({ name, status: is, applied }) =>
          wanted(name, [condition('Accepted', is), condition('ResolvedRefs'), ...(applied === null ? [] : [condition(APPLIED, applied)])]),
        ),
      );

    it("keeps others' entries and their order, settles after one write, and has ours once each", () => {
      fc.assert(
        fc.property(stored, parents, (list, want) => {
          const { parents: after } = nextParents(list, 'shop', want, NOW);
          if (after === undefined) return;
          const foreign = (all: readonly RouteParentEntry[]) => all.filter(({ controllerName }) => controllerName !== CONTROLLER_NAME);
          expect(foreign(after)).to.deep.equal(foreign(list));
          expect(nextParents(after, 'shop', want, '2027-01-01T00:00:00Z').parents).to.equal(undefined);
          const ours = after.filter(({ controllerName }) => controllerName === CONTROLLER_NAME).map(({ parentRef }) => parentRef!.name);
          expect([...ours].sort()).to.deep.equal(want.map(({ parentRef }) => parentRef.name).sort());
          for (const { conditions: some } of after) expect(new Set(some!.map((one) => one.type)).size).to.equal(some!.length);
        }),
      );
    });
  });
});
