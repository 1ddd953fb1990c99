// Istio's Gateways → Gateways of the Gateway API. Pure.
import { fieldsOf, textOf } from '#objects/fields.ts';
import { type Draft, GATEWAY_API, Notes } from './draft.ts';
import { joinName, mapsOf, type SourceObject, slugOf, sourceName, textsOf } from './sources.ts';

const PROTOCOLS: Readonly<Record<string, string>> = {
  HTTP: 'HTTP',
  HTTP2: 'HTTP',
  GRPC: 'HTTP',
  HTTPS: 'HTTPS',
  TLS: 'TLS',
  TCP: 'TCP',
  MONGO: 'TCP',
  MYSQL: 'TCP',
};

/** @param gatewayClass of the new Gateway */
export function migrateIstioGateway(source: SourceObject, gatewayClass: string): Draft[] {
  const notes = new Notes();
  const { namespace, name } = source;
  const redirected: { sectionName: string; hostname: string | undefined }[] = [];
  const listeners = mapsOf(source.spec.servers).flatMap((server) => {
    const { number, protocol } = fieldsOf(server.port as Record<string, unknown>);
    const tls = fieldsOf(server.tls as Record<string, unknown>);
    const mode = textOf(tls.mode);
    const written = PROTOCOLS[textOf(protocol)?.toUpperCase() ?? ''];
    if (written === undefined || typeof number !== 'number') {
      notes.leftOut(`the server of port ${String(number)}: protocol ${textOf(protocol) ?? 'none'} has no counterpart`);
      return [];
    }
    return textsOf(server.hosts).map((written_host) => {
      const host = written_host.slice(written_host.indexOf('/') + 1);
      if (written_host.includes('/'))
        notes.differs(`host ${written_host}: which namespaces may attach routes is said by allowedRoutes of the listener`);
      const hostname = host === '*' ? undefined : host;
      const listener = joinName(written.toLowerCase(), `${number}`, hostname === undefined ? '' : slugOf(hostname));
      if (tls.httpsRedirect === true) redirected.push({ sectionName: listener, hostname });
      return {
        name: listener,
        protocol: mode === 'PASSTHROUGH' ? 'TLS' : written,
        port: number,
        hostname: written === 'TCP' ? undefined : hostname,
        tls: tlsOf(mode, textOf(tls.credentialName), number, notes),
        allowedRoutes: { namespaces: { from: 'All' } },
      };
    });
  });
  if (source.spec.selector !== undefined) notes.differs('selector: the new Gateway has pods of its own, which its class starts');
  const from = [sourceName(source)];
  const gateway: Draft = {
    object: {
      apiVersion: GATEWAY_API,
      kind: 'Gateway',
      metadata: { name, namespace },
      spec: { gatewayClassName: gatewayClass, listeners },
    },
    from,
    notes: notes.all,
  };
  if (redirected.length === 0) return [gateway];
  const hostnames = redirected.flatMap(({ hostname }) => hostname ?? []);
  const redirect = {
    parentRefs: redirected.map(({ sectionName }) => ({ name, sectionName })),
    hostnames: hostnames.length < redirected.length ? undefined : hostnames,
    rules: [{ filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https', statusCode: 301 } }] }],
  };
  return [
    gateway,
    {
      object: { apiVersion: GATEWAY_API, kind: 'HTTPRoute', metadata: { name: joinName(name, 'to-https'), namespace }, spec: redirect },
      from,
      notes: [],
    },
  ];
}

function tlsOf(mode: string | undefined, credential: string | undefined, port: number, notes: Notes): object | undefined {
  if (mode === undefined) return undefined;
  if (mode === 'PASSTHROUGH') return { mode: 'Passthrough' };
  if (mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL')
    notes.leftOut(
      `certificates of clients on port ${port}: write spec.tls.frontend with a ConfigMap that has the authorities (Secret ${credential ?? ''}-cacert)`,
    );
  else if (mode !== 'SIMPLE') notes.leftOut(`tls.mode ${mode} on port ${port}`);
  if (credential === undefined) {
    notes.leftOut(`the certificate of port ${port}: it is a file, and a listener wants a Secret`);
    return { mode: 'Terminate' };
  }
  return { mode: 'Terminate', certificateRefs: [{ name: credential }] };
}
