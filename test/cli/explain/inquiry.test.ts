// The words of `weft explain`.
import { expect } from 'chai';
import { parseCallee, parseCaller, parseHeader, parseMethod, requestHeaders } from '#cli/explain/inquiry.ts';
import { UsageError } from '#core/program/failure.ts';

describe('explain: the inquiry', () => {
  it('reads callers', () => {
    expect(parseCaller('shop')).to.deep.equal({ namespace: 'shop', workload: null });
    expect(parseCaller('shop/checkout')).to.deep.equal({ namespace: 'shop', workload: 'checkout' });
    for (const text of ['', 'Shop', 'shop/', '/checkout', 'a/b/c', 'shop checkout'])
      expect(() => parseCaller(text), text).to.throw(UsageError);
  });

  it('reads Services as people and DNS write them', () => {
    const payment = { namespace: 'shop', name: 'payment' };
    for (const text of ['payment', 'payment.shop', 'payment.shop.svc', 'payment.shop.svc.cluster.local', 'shop/payment']) {
      expect(parseCallee(text, 'shop'), text).to.deep.equal({ ...payment, port: null });
      expect(parseCallee(`${text}:8080`, 'shop'), text).to.deep.equal({ ...payment, port: 8080 });
      expect(parseCallee(`${text}:grpc`, 'shop'), text).to.deep.equal({ ...payment, port: 'grpc' });
    }
    expect(parseCallee('payment', 'other').namespace).to.equal('other');
    for (const text of ['', ':8080', 'payment:', 'payment:1:2', 'a/b/c', 'payment.shop.example', 'Payment', 'payment.']) {
      expect(() => parseCallee(text, 'shop'), text).to.throw(UsageError);
    }
  });

  it('reads methods with and without the first slash', () => {
    expect(parseMethod('/a.S/Get')).to.equal('a.S/Get');
    expect(parseMethod('a.S/Get')).to.equal('a.S/Get');
    for (const text of ['', 'Get', 'a.S/', '/Get', 'a.S/Get/more', 'a S/Get']) expect(() => parseMethod(text), text).to.throw(UsageError);
  });

  it('reads headers; the value may hold colons', () => {
    expect(parseHeader('X-Version: v2')).to.deep.equal(['x-version', 'v2']);
    expect(parseHeader('x-url:http://a:1')).to.deep.equal(['x-url', 'http://a:1']);
    expect(parseHeader('x-empty:')).to.deep.equal(['x-empty', '']);
    for (const text of ['', 'x', ':v', ':path:/a', 'x y:1', 'ä:1']) expect(() => parseHeader(text), text).to.throw(UsageError);
  });

  it('makes the header list of a gRPC call, in octets', () => {
    const inquiry = {
      from: parseCaller('shop'),
      to: parseCallee('payment', 'shop'),
      call: { kind: 'grpc' as const, method: 'a.S/Get' },
      headers: [parseHeader('x-city:Zürich'), parseHeader('te:x')],
    };
    const headers = requestHeaders(inquiry, 8080);
    expect(headers.slice(4, 8)).to.deep.equal([':path', '/a.S/Get', ':authority', 'payment.shop:8080']);
    expect(headers.slice(8)).to.deep.equal(['content-type', 'application/grpc', 'x-city', 'Z\xc3\xbcrich', 'te', 'x']);
  });
});
