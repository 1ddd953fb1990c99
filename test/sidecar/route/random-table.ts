// Random Services with routes and requests that come near them, for properties. Small alphabets, so that matches, ties
// and near misses are frequent.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { RouteKind, type Service, ServiceSchema, type StringMatchSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';

type StringMatchInit = MessageInitShape<typeof StringMatchSchema>;

const SERVICES = ['a.S', 'a.T', 'b.S'];
const METHODS = ['Get', 'Put', 'List', ''];
const NAMES = ['x-a', 'x-b', 'x-c'];
const VALUES = ['1', '2', '1,2', 'ä', ''];

/** Matches any: an exact value, or a pattern with or without a fast path. */
function stringMatch(values: readonly string[], patterns: readonly string[]): fc.Arbitrary<StringMatchInit> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...values).map((value) => ({ kind: { case: 'exact' as const, value } })) },
    { weight: 1, arbitrary: fc.constantFrom(...patterns).map((value) => ({ kind: { case: 'regex' as const, value } })) },
  );
}

const absentOr = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const match = fc.record({
  service: absentOr(stringMatch(SERVICES, ['a\\..*', '.*', '[ab]\\.S', 'a\\.S|b\\.S'])),
  method: absentOr(stringMatch(METHODS, ['.*', 'Get|List', '[GP][a-z]+', 'L.+'])),
  headers: fc.array(fc.record({ name: fc.constantFrom(...NAMES, 'X-A'), value: stringMatch(VALUES, ['.*', '1.*', '[0-9]', 'ä|2', '.']) }), {
    maxLength: 3,
  }),
});

/** A scoped Service "ns/svc" with a table of up to 40 matches over 5 rules, in an order that no precedence explains. */
export const serviceWithTable: fc.Arbitrary<Service> = fc.array(fc.tuple(match, fc.nat(4)), { maxLength: 40 }).map((matches) =>
  create(ServiceSchema, {
    namespace: 'ns',
    name: 'svc',
    ports: [
      {
        port: 80,
        routes: {
          kind: RouteKind.GRPC,
          rules: [0, 1, 2, 3, 4].map((index) => ({
            route: { kind: 'GRPCRoute', namespace: 'ns', name: 'route' },
            index,
            backends: [{ ref: { namespace: 'ns', name: 'svc', port: 80 }, weight: 1 }],
          })),
          matches: matches.map(([parts, rule], index) => ({ ...parts, rule, index })),
        },
      },
    ],
  }),
);

const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

/** A request's header list; headers may repeat, paths may be none of gRPC's. */
export const request: fc.Arbitrary<string[]> = fc
  .tuple(
    fc.oneof(
      {
        weight: 9,
        arbitrary: fc
          .tuple(fc.constantFrom(...SERVICES, 'c.S'), fc.constantFrom(...METHODS, 'Go'))
          .map(([service, method]) => `/${service}/${method}`),
      },
      { weight: 1, arbitrary: fc.constantFrom('/', '', '*', '/a.S', 'a.S/Get', '/a.S/Get/more', '//Get') },
    ),
    fc.array(fc.tuple(fc.constantFrom(...NAMES, 'x-d'), fc.constantFrom(...VALUES, 'b')), { maxLength: 5 }),
  )
  .map(([path, headers]) => [':method', 'POST', ':path', path, ...headers.flatMap(([name, value]) => [name, latin1(value)])]);
