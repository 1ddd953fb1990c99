// Which calls are logged: what each condition means, and that every mistake is named with what it could have been.
import { expect } from 'chai';
import fc from 'fast-check';
import {
  ACCESS_FLAGS,
  type AccessValue,
  LONGEST_ACCESS_LOG,
  MOST_FILTER_CONDITIONS,
  matchesAccessLog,
  parseAccessLog,
} from '#core/contract/access-filter.ts';
import { GRPC_CODES } from '#core/contract/grpc-codes.ts';
import * as errors from '#sidecar/forward/errors.ts';

const CALL: Readonly<Record<string, AccessValue>> = {
  failed: 'true',
  direction: 'outbound',
  caller: 'shop/checkout',
  service: 'shop/payment:50051',
  route: 'GRPCRoute/shop/payment',
  rule: '0',
  method: 'payment.PaymentService/Charge',
  backend: 'shop/payment-v2:50051',
  mtls: 'true',
  protocol: 'grpc',
  http_status: 200,
  grpc_status: 14,
  duration_ms: 250,
  request_bytes: 17,
  response_bytes: 0,
  attempts: 2,
  flags: ['connect_failed', 'retried'],
  sampled: 'true',
};

/** Whether a call is logged. */
function holds(text: string, call: Readonly<Record<string, AccessValue>> = CALL): boolean {
  const rule = parseAccessLog(text);
  return rule !== null && matchesAccessLog(rule, (field) => call[field]);
}

function mistake(text: string): string {
  try {
    parseAccessLog(text);
  } catch (error) {
    expect(error).to.be.instanceOf(RangeError);
    return (error as Error).message;
  }
  return '';
}

describe('core/access-filter', () => {
  it('off, errors and all', () => {
    expect(parseAccessLog('off')).to.equal(null);
    expect(parseAccessLog(' off ')).to.equal(null);
    expect([holds('all'), holds('all', {})]).to.deep.equal([true, true]);
    expect([holds('errors'), holds('errors', { ...CALL, failed: 'false' })]).to.deep.equal([true, false]);
  });

  const TRUE = [
    'code!=OK',
    'code=Unavailable',
    'code=UNAVAILABLE',
    'code=Un*,code!=Unknown',
    'grpc_status=14',
    'duration>=250ms',
    'duration <= 0.25 s',
    'duration>249.9ms',
    'duration<1s',
    'duration_ms=250',
    'http_status!=404',
    'method=payment.PaymentService/*',
    'method=/payment.PaymentService/Charge',
    'method=/payment.*',
    'method=*/Charge',
    'method=*Payment*',
    'method=*',
    'service=shop/payment',
    'service=shop/payment:50051',
    'service=shop/*',
    'service=*/payment',
    'service!=shop/checkout',
    'route=shop/payment',
    'route=GRPCRoute/shop/payment',
    'route=GRPCRoute/*',
    'caller=shop/checkout',
    'flag=retried',
    'flag=connect_*',
    'flag!=no_route',
    'sampled=true',
    'mtls!=false',
    'errors,service=shop/payment,duration>=100ms',
    ' errors , service = shop/payment ',
  ];
  for (const text of TRUE) it(`"${text}" holds`, () => expect(holds(text)).to.equal(true));

  const FALSE = [
    'code=OK',
    'code!=Unavailable',
    'duration>250ms',
    'duration<250ms',
    'duration>=1s',
    'method=payment.PaymentService',
    'method=*/Refund',
    'service=shop/pay',
    'service=shop/payment:80',
    'service!=shop/payment',
    'service=payment',
    'route!=shop/payment',
    'flag=no_route',
    'flag!=retried',
    'sampled=false',
    'code!=OK,service=shop/other',
  ];
  for (const text of FALSE) it(`"${text}" does not hold`, () => expect(holds(text)).to.equal(false));

  it('a condition on what the line does not have does not hold, whichever way it asks', () => {
    for (const text of ['code!=OK', 'code=OK', 'route=*', 'route!=shop/payment', 'duration>=0ms', 'flag!=retried'])
      expect(holds(text, {}), text).to.equal(false);
  });

  it('a SPIFFE id is known by its ServiceAccount too', () => {
    const inbound = { caller: 'spiffe://cluster.local/ns/shop/sa/checkout' };
    expect(holds('caller=shop/checkout', inbound)).to.equal(true);
    expect(holds('caller=spiffe://cluster.local/*', inbound)).to.equal(true);
    expect(holds('caller!=shop/checkout', inbound)).to.equal(false);
    expect(holds('caller=shop/checkout', { caller: 'spiffe://cluster.local/ns/shop/sa/other' })).to.equal(false);
  });

  it('asks for numbers before texts', () => {
    const asked: string[] = [];
    const rule = parseAccessLog('method=*/Charge,flag=retried,duration>=1s')!;
    matchesAccessLog(rule, (field) => {
      asked.push(field);
      return CALL[field];
    });
    expect(asked).to.deep.equal(['duration_ms']);
  });

  const MISTAKES: readonly (readonly [string, string])[] = [
    ['', 'a condition is empty: it must be off, errors, all or conditions such as code!=OK,duration>=250ms'],
    ['errors,', 'a condition is empty: it must be off, errors, all or conditions such as code!=OK,duration>=250ms'],
    ['erors', '"erors" is neither off, errors, all nor a condition, did you mean "errors"?'],
    ['Errors', '"Errors" is neither off, errors, all nor a condition, did you mean "errors"?'],
    ['banana', '"banana" is neither off, errors, all nor a condition such as code!=OK'],
    ['service', '"service" is neither off, errors, all nor a condition: service needs = and a value'],
    ['all,code!=OK', '"all" must stand alone'],
    ['errors,off', '"off" must stand alone'],
    ['servce=shop/payment', '"servce=shop/payment": there is no field "servce", did you mean "service"?'],
    ['toString=1', '"toString=1": there is no field "toString"; fields: code, duration, flag, '],
    ['code=Unavailible', '"code=Unavailible": "Unavailible" is no code, did you mean "Unavailable"?'],
    ['flag=noroute', '"flag=noroute": "noroute" is no flag, did you mean "no_route"?'],
    ['flag=no_x*', '"flag=no_x*": "no_x*" is no flag'],
    ['direction=out', '"direction=out": "out" is no direction (outbound, inbound)'],
    ['sampled=yes', '"sampled=yes": "yes" is no sampled (true, false)'],
    ['duration>=250', '"duration>=250": "250" is no duration: a number and ms or s, such as 250ms'],
    ['duration>=-1ms', '"duration>=-1ms": "-1ms" is no duration: a number and ms or s, such as 250ms'],
    ['http_status=4xx', '"http_status=4xx": http_status must be a number, not "4xx"'],
    ['service>shop', '"service>shop": service is a text: use = or !=, not >'],
    ['service==shop/payment', '"service==shop/payment": there is no operator ==: use = or !='],
    ['service=', '"service=": nothing stands behind ='],
    ['method=a*b', '"method=a*b": * may only stand at the beginning and at the end'],
    ['method=**', '"method=**": * may only stand at the beginning and at the end'],
    ['a'.repeat(LONGEST_ACCESS_LOG + 1), 'has 513 characters, at most 512 are allowed'],
    [
      Array(MOST_FILTER_CONDITIONS + 1)
        .fill('errors')
        .join(','),
      'has 17 conditions, at most 16 are allowed',
    ],
  ];
  for (const [text, message] of MISTAKES) {
    it(`"${text.slice(0, 30)}" is refused`, () => expect(mistake(text).slice(0, message.length)).to.equal(message));
  }

  it('knows every error that the proxy makes, and every code', () => {
    const labels = Object.values(errors).flatMap((value) =>
      typeof value === 'object' && 'label' in value ? [(value as errors.ProxyError).label] : [],
    );
    expect(labels).to.have.length.greaterThan(10);
    expect(ACCESS_FLAGS).to.include.members(labels);
    for (const [status, code] of GRPC_CODES.entries()) expect(holds(`code=${code}`, { grpc_status: status }), code).to.equal(true);
    expect(holds('code=CANCELLED', { grpc_status: 1 })).to.equal(true);
  });

  it('whatever the text: a rule or a RangeError, and a rule can always be asked', () => {
    const piece = fc.constantFrom(
      'errors',
      'code',
      'duration',
      'flag',
      'method',
      '=',
      '!=',
      '>=',
      '<',
      ',',
      '*',
      'OK',
      '5ms',
      ' ',
      'é',
      '\n',
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(text, (any) => {
        try {
          expect(holds(any)).to.be.a('boolean');
        } catch (error) {
          expect(error).to.be.instanceOf(RangeError);
          expect((error as Error).message)
            .to.have.length.greaterThan(5)
            .and.lessThan(2000);
        }
      }),
    );
  });

  it('= and != of a field that is there are opposites', () => {
    const value = fc.stringMatching(/^\*?[a-z/.:]{1,12}\*?$/);
    fc.assert(
      fc.property(
        value,
        fc.stringMatching(/^[a-z/.:]{1,12}$/),
        fc.constantFrom('service', 'route', 'caller', 'method'),
        (operand, seen, field) => {
          expect(holds(`${field}=${operand}`, { [field]: seen })).to.equal(!holds(`${field}!=${operand}`, { [field]: seen }));
        },
      ),
    );
  });
});
