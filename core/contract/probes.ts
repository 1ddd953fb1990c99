// WEFT_PROBES: what the kubelet's probes and hooks asked of the application before injection pointed them at the
// sidecar. JSON of `<container>/<kind>` → target. Injection writes it, so a mistake in it is one of ours or of a version that does not
// fit: all of them are reported.
import { didYouMean } from '../text/nearest.ts';

export interface HttpProbe {
  readonly port: number;
  readonly path: string;
  readonly scheme: 'HTTP' | 'HTTPS';
  /** Where to connect, as with the kubelet; absent: the pod's address. A Host header is one of `headers`. */
  readonly host?: string;
  /** In order; a name may come more than once. */
  readonly headers?: readonly { readonly name: string; readonly value: string }[];
}

/** What to ask the application. */
export interface ProbeTarget {
  /** Above 0, at most LONGEST_PROBE_TIMEOUT_MS. */
  readonly timeoutMs: number;
  /**
   * Only hooks have one, and all of them: what the asking URL must end with (`?<token>`). A hook is no question but an
   * order (drain, warm up), so that other clients of the admin port must not be able to give it.
   */
  readonly token?: string;
  /** Exactly one of the three. */
  readonly http?: HttpProbe;
  readonly tcp?: { readonly port: number };
  /** grpc.health.v1.Health/Check; service '' asks for the whole server. */
  readonly grpc?: { readonly port: number; readonly service: string };
}

export const PROBE_KINDS = ['startup', 'readiness', 'liveness'] as const;

/** Of a container's `lifecycle`. */
export const HOOK_KINDS = ['postStart', 'preStop'] as const;

/** Where the sidecar's admin port answers a probe: this, then its `<container>/<kind>`. */
export const PROBE_PATH = '/probe/';

/** As Kubernetes has it (Probe.timeoutSeconds). */
export const DEFAULT_PROBE_TIMEOUT_MS = 1000;
/** The kubelet has no bound; ours only keeps a mistake from holding a socket for a day. */
export const LONGEST_PROBE_TIMEOUT_MS = 600_000;
const ASKS = ['http', 'tcp', 'grpc'] as const;
const KINDS: readonly string[] = [...PROBE_KINDS, ...HOOK_KINDS];

type Json = { readonly [name: string]: unknown };

/** The text of WEFT_PROBES. @param targets by `<container>/<kind>` */
export function formatProbes(targets: Readonly<Record<string, ProbeTarget>>): string {
  return JSON.stringify(targets);
}

/**
 * Reads WEFT_PROBES.
 * @param text JSON, or '' for none
 * @returns "<container>/<kind>" → target for all entries that can be used, and one message per mistake
 */
export function parseProbes(text: string): { targets: Map<string, ProbeTarget>; problems: string[] } {
  const targets = new Map<string, ProbeTarget>();
  const problems: string[] = [];
  if (text.trim() === '') return { targets, problems };
  let all: unknown;
  try {
    all = JSON.parse(text);
  } catch (error) {
    return { targets, problems: [`WEFT_PROBES is not JSON: ${(error as Error).message}`] };
  }
  if (!isObject(all)) return { targets, problems: ['WEFT_PROBES must be a JSON object of "<container>/<kind>" → probe'] };
  for (const [key, value] of Object.entries(all)) {
    const wrong: string[] = [];
    const target = readTarget(key, value, (what) => wrong.push(`WEFT_PROBES: ${JSON.stringify(key)}: ${what}`));
    if (wrong.length === 0) targets.set(key, target);
    problems.push(...wrong);
  }
  return { targets, problems };
}

function readTarget(key: string, value: unknown, wrong: (what: string) => void): ProbeTarget {
  const kind = key.slice(key.lastIndexOf('/') + 1);
  if (!/^[^/]+\/[^/]+$/.test(key)) wrong('the key must be "<container>/<kind>"');
  else if (!KINDS.includes(kind)) wrong(`"${kind}" is none of ${KINDS.join(', ')}${didYouMean(kind, KINDS)}`);
  if (!isObject(value)) {
    wrong('the probe must be an object');
    return { timeoutMs: 0 };
  }
  const timeoutMs = value.timeoutMs ?? DEFAULT_PROBE_TIMEOUT_MS;
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0 && timeoutMs <= LONGEST_PROBE_TIMEOUT_MS))
    wrong(`timeoutMs must be a number above 0 and at most ${LONGEST_PROBE_TIMEOUT_MS}, not ${JSON.stringify(timeoutMs)}`);
  const { token } = value;
  const isHook = (HOOK_KINDS as readonly string[]).includes(kind);
  if (isHook ? typeof token !== 'string' || token === '' : token !== undefined)
    wrong(isHook ? 'a hook must have a token, a text' : 'only hooks have a token');
  const asks = ASKS.filter((name) => value[name] !== undefined);
  if (asks.length !== 1) {
    const unknown = Object.keys(value).filter(
      (name) => !['timeoutMs', 'token'].includes(name) && !(ASKS as readonly string[]).includes(name),
    );
    const hint = unknown.length === 0 ? '' : `; ${JSON.stringify(unknown[0])} is none of them${didYouMean(unknown[0]!, ASKS)}`;
    wrong(`exactly one of ${ASKS.join(', ')} must be there, not ${asks.length === 0 ? 'none' : asks.join(' and ')}${hint}`);
    return { timeoutMs: 0 };
  }
  const ask = asks[0]!;
  const spec = value[ask];
  if (!isObject(spec)) {
    wrong(`${ask} must be an object`);
    return { timeoutMs: 0 };
  }
  const { port } = spec;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65535)
    wrong(`${ask}.port must be a port number, not ${JSON.stringify(port)}`);
  const shared = { timeoutMs: Number(timeoutMs), ...(isHook && { token: String(token) }) };
  if (ask === 'tcp') return { ...shared, tcp: { port: Number(port) } };
  if (ask === 'grpc') return { ...shared, grpc: { port: Number(port), service: text(spec, 'grpc', 'service', '', wrong) } };
  return { ...shared, http: readHttp(spec, Number(port), wrong) };
}

function readHttp(spec: Json, port: number, wrong: (what: string) => void): HttpProbe {
  const path = text(spec, 'http', 'path', '/', wrong);
  const scheme = text(spec, 'http', 'scheme', 'HTTP', wrong).toUpperCase();
  if (scheme !== 'HTTP' && scheme !== 'HTTPS') wrong(`http.scheme must be HTTP or HTTPS, not "${scheme}"`);
  const host = text(spec, 'http', 'host', '', wrong);
  const headers = spec.headers ?? [];
  const read: { name: string; value: string }[] = [];
  if (!Array.isArray(headers)) wrong('http.headers must be a list of {name, value}');
  else
    headers.forEach((header: unknown, i) => {
      if (!isObject(header) || typeof header.name !== 'string' || header.name === '' || typeof (header.value ?? '') !== 'string')
        wrong(`http.headers[${i}] must have a name and a value`);
      else read.push({ name: header.name, value: String(header.value ?? '') });
    });
  return {
    port,
    path: path.startsWith('/') ? path : `/${path}`,
    scheme: scheme === 'HTTPS' ? 'HTTPS' : 'HTTP',
    ...(host === '' ? {} : { host }),
    ...(read.length === 0 ? {} : { headers: read }),
  };
}

function text(spec: Json, ask: string, name: string, otherwise: string, wrong: (what: string) => void): string {
  const value = spec[name] ?? otherwise;
  if (typeof value === 'string') return value === '' ? otherwise : value;
  wrong(`${ask}.${name} must be text, not ${JSON.stringify(value)}`);
  return otherwise;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
