// A control plane for tests: a real grpc-js server with the certificate service and, for Subscribe, what the test says.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ServerDuplexStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { Authority } from '#certs/authority.ts';
import { ServerRotation } from '#certs/rotation.ts';
import { openGrpcPort } from '#control-plane/issue/grpc-port.ts';
import { type PeerVerdict, peerOf } from '#control-plane/issue/server-credentials.ts';
import { type IssueDeps, IssueService } from '#control-plane/issue/service.ts';
import { TokenIssuer, type TokenOptions } from '#control-plane/issue/token.ts';
import { serviceDefinition } from '#control-plane/publish/wire.ts';
import { Certificates } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import { Config, type SubscribeRequest, type SubscribeResponse } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { LogFields, Logger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';

export type Call = ServerDuplexStream<SubscribeRequest, SubscribeResponse>;

export interface IssuingServer {
  readonly host: string;
  readonly port: number;
  readonly authority: Authority;
  readonly tokens: TokenIssuer;
  readonly issue: IssueService;
  readonly rotation: ServerRotation;
  /** A directory of its own with the files that a pod has. */
  readonly trustBundleFile: string;
  /** Writes a token for a workload and returns the file's path. */
  tokenFile(options?: Partial<TokenOptions>): string;
  /** Ends all connections and listens no more; files are removed by close(). */
  stop(): void;
  close(): void;
}

export interface IssuingServerWish {
  readonly port?: number;
  readonly authority?: Authority;
  readonly tokens?: TokenIssuer;
  readonly leafLifetimeMs?: number;
  /** Lifetime of the server's own certificate. */
  readonly serverLifetimeMs?: number;
  readonly issue?: Partial<IssueDeps>;
  readonly subscribe?: (call: Call, peer: PeerVerdict) => void;
}

export const TRUST_DOMAIN = 'cluster.local';

export async function startIssuingServer(options: IssuingServerWish = {}): Promise<IssuingServer> {
  const authority =
    options.authority ?? (await Authority.create({ trustDomain: TRUST_DOMAIN, now: Date.now, leafLifetimeMs: options.leafLifetimeMs }));
  const rotation = new ServerRotation({ authority, timers: systemTimers, random: Math.random, lifetimeMs: options.serverLifetimeMs });
  await rotation.start();
  const tokens = options.tokens ?? new TokenIssuer({ now: Date.now });
  const issue = new IssueService({ authority: () => authority, verifyToken: tokens.verify, now: Date.now, ...options.issue });
  const subscribe: UntypedServiceImplementation = {
    subscribe: (call: Call) => options.subscribe?.(call, peerOf(call, TRUST_DOMAIN, Date.now())),
  };
  const configuration = { definition: serviceDefinition(Config), handlers: subscribe };
  const server = await openGrpcPort({
    host: '127.0.0.1',
    port: options.port ?? 0,
    rotation,
    forAll: [{ definition: serviceDefinition(Certificates), handlers: issue.handlers() }, configuration],
    forMembers: [configuration],
    timers: systemTimers,
  });
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'weft-test-'));
  const trustBundleFile = path.join(dir, 'roots.pem');
  fs.writeFileSync(trustBundleFile, authority.rootsPem());
  let files = 0;
  const stop = (): void => {
    rotation.stop();
    void server.close();
  };
  return {
    host: '127.0.0.1',
    port: server.port,
    authority,
    tokens,
    issue,
    rotation,
    trustBundleFile,
    tokenFile(tokenWish) {
      const file = path.join(dir, `token-${files++}`);
      const token = tokens.sign({ namespace: 'shop', serviceAccount: 'checkout', pod: 'checkout-1', lifetimeMs: 3600_000, ...tokenWish });
      fs.writeFileSync(file, `${token}\n`, { mode: 0o600 });
      return file;
    },
    stop,
    close() {
      stop();
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A logger that keeps its lines. */
export function recordingLogger(): { log: Logger; lines: { level: string; msg: string; fields: LogFields }[] } {
  const lines: { level: string; msg: string; fields: LogFields }[] = [];
  const at =
    (level: string) =>
    (msg: string, fields: LogFields = {}) =>
      void lines.push({ level, msg, fields });
  const log: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    enabled: () => true,
    child: () => log,
  };
  return { log, lines };
}
