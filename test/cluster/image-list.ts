// The images a test cluster needs, and what is in each: Weft's own, the shop's, the suite's echo application, CoreDNS,
// pause.
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SIDECAR_USER_ID } from '#core/contract/names.ts';
import { goTool } from '../support/go-tools.ts';
import { binary } from './binaries.ts';
import { PAUSE_IMAGE } from './configuration.ts';
import { exec, must } from './exec.ts';
import type { Image, Layer } from './images.ts';
import { programPath } from './packages.ts';
import { createIssuer } from './pki.ts';
import type { TarEntry } from './tar.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const NODE = path.join(ROOT, 'node_modules', 'node', 'bin', 'node');

export const WEFT_IMAGE = 'localhost/weft:dev';
/** The second name is the one in examples/shop. */
export const SHOP_IMAGES = ['localhost/weft-shop:dev', 'docker.io/library/weft-shop:latest'];
export const ECHO_IMAGE = 'registry.k8s.io/gateway-api/echo-advanced:v1.5.1';
/** As manifests/observability names them; without their web pages, which Go modules do not have. */
export const JAEGER_IMAGE = 'docker.io/jaegertracing/all-in-one:1.62.0';
export const PROMETHEUS_IMAGE = 'docker.io/prom/prometheus:v2.55.1';
export const COREDNS_IMAGE = 'localhost/coredns:1.15.0';

const EXECUTABLE = 0o755;

function program(at: string, from: string): TarEntry {
  return { path: at, mode: EXECUTABLE, data: readFileSync(from) };
}

/** The shared libraries a program loads, at the places it looks for them. */
async function libraries(of: string): Promise<TarEntry[]> {
  const stdout = await must('ldd', [of]);
  const files = [...stdout.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, file]) => file);
  return files.map((file) => program(file.slice(1), realpathSync(file)));
}

const ACCOUNTS: Layer = [
  { path: 'etc/passwd', data: `root:x:0:0:root:/:/none\nweft:x:${SIDECAR_USER_ID}:${SIDECAR_USER_ID}:weft:/:/none\n` },
  { path: 'etc/group', data: `root:x:0:\nweft:x:${SIDECAR_USER_ID}:\n` },
  { path: 'tmp', mode: 0o1777 },
];

let nodeLayer: Promise<Layer> | undefined;

/**
 * Node and what it needs to run: the layer that the images of Weft and of the shop share. Without symbols, where the
 * machine has strip(1).
 */
function node(): Promise<Layer> {
  nodeLayer ??= (async () => {
    const stripped = path.join(os.tmpdir(), `weft-node-${process.pid}`);
    const { code } = await exec('strip', ['-s', '-o', stripped, NODE]);
    try {
      return [program('usr/local/bin/node', code === 0 ? stripped : NODE), ...(await libraries(NODE)), ...ACCOUNTS];
    } finally {
      await exec('rm', ['-f', stripped]);
    }
  })();
  return nodeLayer;
}

/** The parts of koffi that run here: its JavaScript and one native library. */
function koffi(): Layer {
  const modules = path.join(ROOT, 'node_modules');
  const native = `@koromix/koffi-linux-${process.arch}`;
  const own = readdirSync(path.join(modules, 'koffi'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /^(package\.json|(index|indirect)\.c?js|src\/koffi\/.*\.c?js)$/.test(file))
    .map((file) => `koffi/${file}`);
  const files = [...own.sort(), ...['package.json', 'index.js', `linux_${process.arch}/koffi.node`].map((file) => `${native}/${file}`)];
  return files.map((file) => ({ path: `weft/node_modules/${file}`, data: readFileSync(path.join(modules, file)) }));
}

function bundles(from: string, to: string): Layer {
  const files = existsSync(from) ? readdirSync(from).filter((name) => name.endsWith('.mjs')) : [];
  return files.sort().map((name) => ({ path: `${to}/${name}`, data: readFileSync(path.join(from, name)) }));
}

/** All of Weft's programs, from dist/. */
export async function weftImage(): Promise<Image> {
  const nft = programPath('nft');
  if (!nft) throw new Error('nft is not on this machine: the image needs it for capture (Debian package nftables)');
  const nsenter = programPath('nsenter');
  if (!nsenter)
    throw new Error("nsenter is not on this machine: the node agent needs it to load a pod's rules (Debian package util-linux)");
  const loaded = new Map([...(await libraries(nft)), ...(await libraries(nsenter))].map((entry) => [entry.path, entry]));
  const packet: Layer = [program('usr/sbin/nft', nft), program('usr/bin/nsenter', nsenter), ...loaded.values()];
  const user = `${SIDECAR_USER_ID}:${SIDECAR_USER_ID}`;
  const own = [...koffi(), ...bundles(path.join(ROOT, 'dist'), 'weft')];
  return { names: [WEFT_IMAGE], layers: [await node(), packet, own], user, workingDirectory: '/weft' };
}

/** The example's services, as examples/shop/Dockerfile makes them. */
export async function shopImage(): Promise<Image> {
  const layers = [await node(), bundles(path.join(ROOT, 'examples', 'shop', 'dist'), 'app/dist')];
  return { names: SHOP_IMAGES, layers, user: '1000:1000', workingDirectory: '/app' };
}

/** The conformance suite's application. `client` is on the PATH: the suite runs it with exec. */
export async function echoImage(say?: (line: string) => void): Promise<Image> {
  const { certificate, key } = await (await createIssuer()).issue({ subject: 'CN=echo', dns: ['echo'] });
  const layer: Layer = [
    program('usr/local/bin/server', await binary('echo-server', say)),
    program('usr/local/bin/client', await binary('echo-client', say)),
    { path: 'cert.crt', data: certificate },
    { path: 'cert.key', data: key },
    ...ACCOUNTS,
  ];
  return { names: [ECHO_IMAGE], layers: [layer], entrypoint: ['/usr/local/bin/server'] };
}

/** The cluster's DNS server. */
export async function coreDnsImage(say?: (line: string) => void): Promise<Image> {
  return {
    names: [COREDNS_IMAGE],
    layers: [[program('coredns', await binary('coredns', say)), ...ACCOUNTS]],
    entrypoint: ['/coredns'],
  };
}

/** Where traces go. @throws Error when it cannot be built */
export async function jaegerImage(): Promise<Image> {
  const tool = await goTool('jaeger');
  if ('skip' in tool) throw new Error(tool.skip);
  return { names: [JAEGER_IMAGE], layers: [[program('jaeger', tool.path), ...ACCOUNTS]], entrypoint: ['/jaeger'] };
}

/** What scrapes. @throws Error when it cannot be built */
export async function prometheusImage(): Promise<Image> {
  const tool = await goTool('prometheus');
  if ('skip' in tool) throw new Error(tool.skip);
  return { names: [PROMETHEUS_IMAGE], layers: [[program('bin/prometheus', tool.path), ...ACCOUNTS]], entrypoint: ['/bin/prometheus'] };
}

/** First process of each pod. */
export async function pauseImage(say?: (line: string) => void): Promise<Image> {
  return { names: [PAUSE_IMAGE], layers: [[program('pause', await binary('pause', say))]], entrypoint: ['/pause'] };
}
