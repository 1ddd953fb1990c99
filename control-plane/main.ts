// The control plane as a program of its own, fed from a directory of manifests: for trying Weft without a cluster, sidecars started by hand.
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Authority } from '#certs/authority.ts';
import { createLogger, isLogLevel, LOG_LEVELS, type Logger } from '#core/log.ts';
import { CONTROL_PLANE_GRPC_PORT, CONTROL_PLANE_VIEW_PORT, DEFAULT_TRUST_DOMAIN } from '#core/names.ts';
import { type ControlPlane, ControlPlaneStartError, startControlPlane } from './assemble.ts';
import { DirectoryError, DirectorySource } from './files/directory-source.ts';
import { TokenIssuer } from './issue/token.ts';
import type { Pod } from './kube/types.ts';
import { startView } from './view/server.ts';

const USAGE = `usage: control-plane --dir DIR [options]

  --dir DIR            manifests (*.yaml, *.yml, *.json), followed as they change
  --secrets DIR        writes roots.pem and a token <namespace>_<pod>.token for each Pod there, for sidecars started by hand
  --host ADDRESS       where to listen, default 127.0.0.1
  --port PORT          gRPC, default ${CONTROL_PLANE_GRPC_PORT}
  --view-port PORT     /readyz /livez /metrics /debug/resources, default ${CONTROL_PLANE_VIEW_PORT}
  --trust-domain NAME  default ${DEFAULT_TRUST_DOMAIN}

  environment: WEFT_LOG_LEVEL (${LOG_LEVELS.join(', ')}), WEFT_LOG_FORMAT (json, text)
`;

const TOKEN_LIFETIME_MS = 24 * 3600_000;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

interface Options {
  readonly dir: string;
  readonly secrets: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly viewPort: number;
  readonly trustDomain: string;
}

function readOptions(args: readonly string[]): Options | string {
  const text = { type: 'string' } as const;
  const options = { dir: text, secrets: text, host: text, port: text, 'view-port': text, 'trust-domain': text };
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true });
    if (values.dir === undefined) return '--dir is missing';
    const port = portOf(values.port, CONTROL_PLANE_GRPC_PORT);
    const viewPort = portOf(values['view-port'], CONTROL_PLANE_VIEW_PORT);
    if (port === null || viewPort === null) return 'a port is a number from 0 to 65535';
    const { dir, secrets, host = '127.0.0.1', 'trust-domain': trustDomain = DEFAULT_TRUST_DOMAIN } = values;
    return { dir, secrets, host, port, viewPort, trustDomain };
  } catch (error) {
    return (error as Error).message;
  }
}

function portOf(word: string | undefined, otherwise: number): number | null {
  if (word === undefined) return otherwise;
  return /^[0-9]{1,5}$/.test(word) && Number(word) <= 65535 ? Number(word) : null;
}

async function run(options: Options, log: Logger): Promise<() => Promise<void>> {
  const tokens = new TokenIssuer({ now: Date.now });
  const authority = await Authority.create({ trustDomain: options.trustDomain, now: Date.now });
  let controlPlane: ControlPlane | null = null;
  const objects = () => source.objects().map(({ object }) => object);
  const secrets = async (): Promise<void> => {
    if (options.secrets !== undefined) await writeSecrets(options.secrets, authority, tokens, objects());
  };
  const fail = (error: unknown): void => log.error('tokens cannot be written', { error });
  const source = new DirectorySource({
    dir: options.dir,
    log: log.child('files'),
    onChange: () => {
      controlPlane?.setObjects(objects());
      secrets().catch(fail);
    },
  });
  await source.start();
  await secrets();
  controlPlane = await startControlPlane({
    authority,
    verifyToken: tokens.verify,
    host: options.host,
    port: options.port,
    objects: objects(),
    log,
  });
  const view = await startView({ host: options.host, port: options.viewPort, controlPlane, ready: () => true });
  const renewal = setInterval(() => void secrets().catch(fail), TOKEN_LIFETIME_MS / 2);
  log.info('the control plane serves', {
    address: `${options.host}:${controlPlane.port}`,
    view: `${options.host}:${view.port}`,
    dir: options.dir,
  });
  return async () => {
    clearInterval(renewal);
    source.stop();
    await view.close();
    await controlPlane.close();
  };
}

async function writeSecrets(dir: string, authority: Authority, tokens: TokenIssuer, objects: readonly { kind: string }[]): Promise<void> {
  await fs.mkdir(dir, { recursive: true, mode: 0o700 });
  await fs.writeFile(join(dir, 'roots.pem'), authority.rootsPem());
  for (const object of objects) {
    if (object.kind !== 'Pod') continue;
    const { metadata, spec } = object as Pod;
    const identity = { namespace: metadata!.namespace!, serviceAccount: spec?.serviceAccountName || 'default', pod: metadata!.name! };
    const token = tokens.sign({ ...identity, lifetimeMs: TOKEN_LIFETIME_MS });
    // A name with a slash is no pod's; it must not become a path.
    const file = `${identity.namespace}_${identity.pod}.token`.replaceAll('/', '_');
    await fs.writeFile(join(dir, file), token, { mode: 0o600 });
  }
}

const level = process.env.WEFT_LOG_LEVEL ?? 'info';
const log = createLogger({
  level: isLogLevel(level) ? level : 'info',
  format: process.env.WEFT_LOG_FORMAT === 'text' ? 'text' : 'json',
  component: 'control-plane',
  write: (line) => process.stderr.write(`${line}\n`),
  now: Date.now,
});
const options = readOptions(process.argv.slice(2));
if (typeof options === 'string') {
  process.stderr.write(`${options}\n\n${USAGE}`);
  process.exitCode = EXIT_USAGE;
} else {
  run(options, log).then(
    (stop) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const)
        process.once(signal, () => {
          log.info('stopping', { signal });
          void stop();
        });
    },
    (error: unknown) => {
      const known = error instanceof DirectoryError || error instanceof ControlPlaneStartError || error instanceof RangeError;
      if (known || (error as NodeJS.ErrnoException).code === 'EADDRINUSE') log.error((error as Error).message);
      else log.error('the control plane failed', { error: (error as Error).stack });
      process.exit(EXIT_FAILED);
    },
  );
}
