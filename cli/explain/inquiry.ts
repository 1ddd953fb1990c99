// What `weft explain` is asked: words of the command line as values. No look at any object yet.

import { UsageError } from '#core/program/failure.ts';
import type { HeaderList } from '#sidecar/route/records.ts';

export interface Inquiry {
  readonly from: Caller;
  readonly to: Callee;
  readonly call: AskedCall;
  /** Extra headers, lower-case names, as text. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export type AskedCall =
  /** "package.Service/Method". */
  | { readonly kind: 'grpc'; readonly method: string }
  /** The path with its query. */
  | { readonly kind: 'http'; readonly method: string; readonly path: string };

export interface Caller {
  readonly namespace: string;
  /** A Deployment or Pod; null: any workload of the namespace. */
  readonly workload: string | null;
}

export interface Callee {
  readonly namespace: string;
  readonly name: string;
  /** A number, a port's name, or null: the only one. */
  readonly port: number | string | null;
}

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** `shop`, or `shop/checkout`. */
export function parseCaller(text: string): Caller {
  const [namespace, workload = null, more] = text.split('/');
  if (more !== undefined || !LABEL.test(namespace) || workload === '') {
    throw new UsageError(`--from ${JSON.stringify(text)} is neither a namespace nor namespace/workload, such as shop/checkout`);
  }
  return { namespace, workload };
}

/**
 * `payment`, `payment.shop`, `payment.shop.svc.cluster.local`, `shop/payment`, each with an optional `:8080` or
 * `:grpc`.
 */
export function parseCallee(text: string, callersNamespace: string): Callee {
  const wrong = new UsageError(`--to ${JSON.stringify(text)} is no Service: say payment, payment.shop or payment.shop:8080`);
  const [host, port = null, more] = text.split(':');
  const byPath = host.split('/');
  const byDots = host.split('.');
  const [name, namespace = callersNamespace, svc = 'svc'] = byPath.length === 2 ? [byPath[1], byPath[0]] : byDots;
  if (more !== undefined || byPath.length > 2 || svc !== 'svc' || !LABEL.test(name) || !LABEL.test(namespace) || port === '') throw wrong;
  return { namespace, name, port: port !== null && /^\d+$/.test(port) ? Number(port) : port };
}

/** `payment.PaymentService/Charge`, with or without a slash before it. */
export function parseMethod(text: string): string {
  const method = text.startsWith('/') ? text.slice(1) : text;
  if (!/^[^/\s]+\/[^/\s]+$/.test(method)) {
    throw new UsageError(
      `--method ${JSON.stringify(text)} is no gRPC method: say package.Service/Method, such as payment.PaymentService/Charge`,
    );
  }
  return method;
}

/**
 * An HTTP request: `/v2/items?color=red`, with the octets that a client would send.
 * @param method of HTTP; absent: GET
 */
export function parseRequest(path: string, method = 'GET'): AskedCall {
  if (!/^\/[\x21-\x7e]*$/.test(path) || path.includes('#'))
    throw new UsageError(`--path ${JSON.stringify(path)} is no path: say it as it is sent, such as /items?color=red`);
  if (!TOKEN.test(method) || method !== method.toUpperCase())
    throw new UsageError(`--method ${JSON.stringify(method)} is no method of HTTP: with --path say GET, POST and so on`);
  return { kind: 'http', method, path };
}

/** `x-version:v2`; spaces around the value are dropped, as on the wire. */
export function parseHeader(text: string): [string, string] {
  const colon = text.indexOf(':');
  const name = text.slice(0, Math.max(0, colon));
  if (!TOKEN.test(name)) throw new UsageError(`-H ${JSON.stringify(text)} is no header: say name:value, such as x-version:v2`);
  return [name.toLowerCase(), text.slice(colon + 1).trim()];
}

/** The header list that the caller's sidecar would see. */
export function requestHeaders({ to, call, headers }: Inquiry, port: number): HeaderList {
  const named = new Set(headers.map(([name]) => name));
  const usual: [string, string][] =
    call.kind === 'http'
      ? []
      : [
          ['content-type', 'application/grpc'],
          ['te', 'trailers'],
        ];
  const [method, path] = call.kind === 'http' ? [call.method, call.path] : ['POST', `/${call.method}`];
  return [
    ...[':method', method, ':scheme', 'http', ':path', path, ':authority', `${to.name}.${to.namespace}:${port}`],
    ...usual.filter(([name]) => !named.has(name)).flat(),
    ...headers.flatMap(([name, value]) => [name, Buffer.from(value, 'utf8').toString('latin1')]),
  ];
}
