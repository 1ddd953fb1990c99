// What annotations of ingress-nginx ask for, read into one record, with a note for each that has no counterpart. Pure.
import type { Notes } from './draft.ts';

const NGINX = 'nginx.ingress.kubernetes.io/';

export interface NginxBehaviour {
  readonly useRegex: boolean;
  readonly rewriteTarget: string | undefined;
  readonly appRoot: string | undefined;
  readonly backendProtocol: string;
  /** Status of the redirect from HTTP to HTTPS; null: none. */
  readonly sslRedirect: number | null;
  /** Everything is redirected there. */
  readonly redirect: { readonly to: string; readonly code: number } | undefined;
  readonly aliases: readonly string[];
  readonly canary: Canary | undefined;
  /** "namespace/name" of a Secret with ca.crt. */
  readonly clientCa: { readonly secret: string; readonly isOptional: boolean } | undefined;
  /** Filters of each rule. */
  readonly filters: readonly object[];
  /** Fields of each rule: timeouts, retry, sessionPersistence. */
  readonly rule: Readonly<Record<string, unknown>>;
}

export interface Canary {
  readonly weight: number;
  readonly total: number;
  readonly header: string | undefined;
  readonly headerValue: string | undefined;
  readonly headerPattern: string | undefined;
  readonly cookie: string | undefined;
}

/** Why an annotation has no counterpart. Those that are not here and not read above are not known. */
const NOT_PORTABLE: Readonly<Record<string, string>> = {
  'proxy-body-size': 'the Gateway API has no limit for the size of requests',
  'client-body-buffer-size': 'it is a matter of the data plane',
  'limit-rps': 'the Gateway API has no rate limit',
  'limit-rpm': 'the Gateway API has no rate limit',
  'limit-connections': 'the Gateway API has no limit of connections',
  'whitelist-source-range': 'the Gateway API does not filter by source; a NetworkPolicy or the load balancer can',
  'denylist-source-range': 'the Gateway API does not filter by source; a NetworkPolicy or the load balancer can',
  'auth-url': 'the filter ExternalAuth is experimental and says it otherwise (GEP-1494)',
  'auth-signin': 'the filter ExternalAuth is experimental and says it otherwise (GEP-1494)',
  'auth-type': 'the Gateway API has no passwords',
  'auth-secret': 'the Gateway API has no passwords',
  'auth-realm': 'the Gateway API has no passwords',
  'configuration-snippet': 'text for nginx means nothing elsewhere',
  'server-snippet': 'text for nginx means nothing elsewhere',
  'stream-snippet': 'text for nginx means nothing elsewhere',
  'auth-tls-verify-depth': 'the Gateway API has no such bound',
  'auth-tls-pass-certificate-to-upstream': 'the identity of clients is not passed on by the API',
  'custom-http-errors': 'the Gateway API has no error pages',
  'default-backend': 'the Gateway API has no error pages',
  'proxy-connect-timeout': 'there is no such timeout for a rule',
  'proxy-send-timeout': 'there is no such timeout for a rule',
  'proxy-next-upstream-timeout': 'timeouts.request bounds all attempts together',
  'proxy-buffering': 'it is a matter of the data plane',
  'proxy-buffer-size': 'it is a matter of the data plane',
  'proxy-http-version': 'the port of the Service says what it speaks (appProtocol)',
  'upstream-hash-by': 'the Gateway API has no hashing of requests',
  'load-balance': 'it is a matter of the data plane',
  'mirror-target': 'a mirror is a Service, not an address: write the filter RequestMirror',
  'mirror-request-body': 'bodies are mirrored always',
  'from-to-www-redirect': 'write a second HTTPRoute for the other host with the filter RequestRedirect',
  'proxy-ssl-secret': 'write a BackendTLSPolicy for the Service',
  'proxy-ssl-verify': 'write a BackendTLSPolicy for the Service',
  'proxy-ssl-name': 'write a BackendTLSPolicy for the Service',
  satisfy: 'the Gateway API has no such choice',
  'enable-modsecurity': 'the Gateway API has no web application firewall',
  'enable-opentelemetry': 'tracing is asked for elsewhere',
};

/** Nothing is lost without these. */
const NEEDLESS = new Set([
  'service-upstream',
  'affinity-mode',
  'enable-access-log',
  'session-cookie-path',
  'session-cookie-change-on-failure',
]);

const CORS_DEFAULTS = {
  methods: 'GET, PUT, POST, DELETE, PATCH, OPTIONS',
  headers: 'DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization',
  maxAge: 1_728_000,
};

/** @param hasTls the Ingress has a certificate for some host */
export function readNginx(annotations: Readonly<Record<string, string>>, hasTls: boolean, notes: Notes): NginxBehaviour {
  const read = new Set<string>();
  const text = (name: string): string | undefined => {
    read.add(name);
    const value = annotations[NGINX + name]?.trim();
    return value === '' ? undefined : value;
  };
  const is = (name: string): boolean => text(name) === 'true';
  const number = (name: string): number | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    if (/^[0-9]+$/.test(value)) return Number(value);
    notes.leftOut(`${NGINX}${name}: "${value}" is not a whole number`);
    return undefined;
  };
  const rewriteTarget = text('rewrite-target');
  const [permanent, temporal] = [text('permanent-redirect'), text('temporal-redirect')];
  const [permanentCode, temporalCode] = [number('permanent-redirect-code') ?? 301, number('temporal-redirect-code') ?? 302];
  const isForced = is('force-ssl-redirect');
  const wantsHttps = hasTls && text('ssl-redirect') !== 'false';
  if (isForced && !hasTls)
    notes.leftOut(`${NGINX}force-ssl-redirect: without a certificate here, a redirect to HTTPS would come back to the same place`);
  const redirectCode = number('http-redirect-code') ?? 308;
  const behaviour: NginxBehaviour = {
    useRegex: is('use-regex') || rewriteTarget !== undefined,
    rewriteTarget,
    appRoot: text('app-root'),
    backendProtocol: (text('backend-protocol') ?? 'HTTP').toUpperCase(),
    sslRedirect: wantsHttps || (isForced && hasTls) ? redirectCode : null,
    redirect:
      permanent !== undefined
        ? { to: permanent, code: permanentCode }
        : temporal !== undefined
          ? { to: temporal, code: temporalCode }
          : undefined,
    aliases: (text('server-alias') ?? '')
      .split(',')
      .map((host) => host.trim())
      .filter((host) => host !== ''),
    canary: canaryOf(is('canary'), text, number),
    clientCa: clientCaOf(text('auth-tls-secret'), text('auth-tls-verify-client') ?? 'on'),
    filters: filtersOf(text, is, number),
    rule: ruleOf(text, number, notes),
  };
  noteTheRest(annotations, read, notes);
  return behaviour;
}

type Text = (name: string) => string | undefined;
type Whole = (name: string) => number | undefined;

function canaryOf(isCanary: boolean, text: Text, number: Whole): Canary | undefined {
  const canary = {
    weight: number('canary-weight') ?? 0,
    total: number('canary-weight-total') ?? 100,
    header: text('canary-by-header'),
    headerValue: text('canary-by-header-value'),
    headerPattern: text('canary-by-header-pattern'),
    cookie: text('canary-by-cookie'),
  };
  return isCanary ? canary : undefined;
}

function clientCaOf(secret: string | undefined, verify: string): NginxBehaviour['clientCa'] {
  return secret === undefined || verify === 'off' ? undefined : { secret, isOptional: verify !== 'on' };
}

function filtersOf(text: Text, is: (name: string) => boolean, number: Whole): object[] {
  const filters: object[] = [];
  const list = (value: string): string[] =>
    value
      .split(',')
      .map((each) => each.trim())
      .filter((each) => each !== '');
  const wantsCors = is('enable-cors');
  const expose = text('cors-expose-headers');
  const cors = {
    allowOrigins: list(text('cors-allow-origin') ?? '*'),
    allowMethods: list(text('cors-allow-methods') ?? CORS_DEFAULTS.methods),
    allowHeaders: list(text('cors-allow-headers') ?? CORS_DEFAULTS.headers),
    exposeHeaders: expose === undefined ? undefined : list(expose),
    allowCredentials: text('cors-allow-credentials') !== 'false',
    maxAge: number('cors-max-age') ?? CORS_DEFAULTS.maxAge,
  };
  if (wantsCors) filters.push({ type: 'CORS', cors });
  const prefix = text('x-forwarded-prefix');
  if (prefix !== undefined)
    filters.push({ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'X-Forwarded-Prefix', value: prefix }] } });
  const host = text('upstream-vhost');
  if (host !== undefined) filters.push({ type: 'URLRewrite', urlRewrite: { hostname: host } });
  return filters;
}

function ruleOf(text: Text, number: Whole, notes: Notes): Record<string, unknown> {
  const rule: Record<string, unknown> = {};
  const readTimeout = number('proxy-read-timeout');
  if (readTimeout !== undefined) {
    rule.timeouts = { backendRequest: `${readTimeout}s` };
    notes.differs(
      `${NGINX}proxy-read-timeout: nginx waits so long for each piece of an answer, timeouts.backendRequest for the whole of it: take it away where answers are streams`,
    );
  }
  const conditions = (text('proxy-next-upstream') ?? '').split(/\s+/);
  const tries = number('proxy-next-upstream-tries') ?? 3;
  const codes = conditions.flatMap((word) => /^http_([45][0-9]{2})$/.exec(word)?.[1] ?? []).map(Number);
  if (conditions.some((word) => word !== '' && word !== 'off')) {
    rule.retry = { codes: codes.length > 0 ? codes : undefined, attempts: tries === 0 ? undefined : Math.max(0, tries - 1) };
    notes.differs(`${NGINX}proxy-next-upstream: the field retry is in the experimental channel up to Gateway API 1.6`);
  }
  const affinity = text('affinity');
  const cookie = text('session-cookie-name') ?? 'INGRESSCOOKIE';
  const [maxAge, expires] = [number('session-cookie-max-age'), number('session-cookie-expires')];
  const lifetime = maxAge ?? expires;
  if (affinity === 'cookie') {
    rule.sessionPersistence = {
      type: 'Cookie',
      sessionName: cookie,
      absoluteTimeout: lifetime === undefined ? undefined : `${lifetime}s`,
      cookieConfig: lifetime === undefined ? undefined : { lifetimeType: 'Permanent' },
    };
    notes.differs(`${NGINX}affinity: the field sessionPersistence is in the experimental channel, and not every implementation serves it`);
  } else if (affinity !== undefined) {
    notes.leftOut(`${NGINX}affinity: "${affinity}": only cookies have a counterpart`);
  }
  return rule;
}

function noteTheRest(annotations: Readonly<Record<string, string>>, read: ReadonlySet<string>, notes: Notes): void {
  for (const [name, value] of Object.entries(annotations)) {
    if (!name.startsWith(NGINX)) continue;
    const short = name.slice(NGINX.length);
    if (read.has(short) || NEEDLESS.has(short)) continue;
    const shown = value.includes('\n') || value.length > 60 ? '' : `: "${value}"`;
    notes.leftOut(`${name}${shown}: ${NOT_PORTABLE[short] ?? 'this command does not know it'}`);
  }
}
