// Which content-types are gRPC's, which are gRPC-Web's, and which only look so.
import { expect } from 'chai';
import { mediaType, messageFormat } from '#sidecar/http/content-type.ts';

describe('a content-type', () => {
  const formats = {
    grpc: [
      'application/grpc',
      'application/grpc+proto',
      'application/grpc+json',
      'application/grpc;charset=utf-8',
      'application/grpc ; q=1',
      'Application/GRPC',
      'application/GRPC+Proto; x=application/json',
    ],
    'grpc-web': [
      'application/grpc-web',
      'application/grpc-web+proto',
      'application/grpc-web+json',
      'application/grpc-web-text',
      'application/grpc-web-text+proto',
      'application/grpc-web-text-base64',
      'application/Grpc-Web;charset=x',
    ],
    other: [
      '',
      'application/grpcfoo',
      'application/grpc-foo',
      'application/grpc-webfoo',
      'application/grpc-web-textual',
      'application/grpc/proto',
      'application/grp',
      'application/json',
      'text/plain; application/grpc',
      'xapplication/grpc',
    ],
  } as const;
  for (const [format, types] of Object.entries(formats)) {
    for (const type of types) it(`is of format ${format}: ${type || '(empty)'}`, () => expect(messageFormat(type)).equal(format));
  }

  it('has a media type without parameters', () => {
    expect(mediaType('Application/GRPC-Web+proto ;charset=x')).equal('application/grpc-web+proto');
  });
});
