// `npm run cluster -- <verb>`: the test cluster, as people use it.
import { existsSync } from 'node:fs';
import { BINARIES, binary } from './binaries.ts';
import { CLUSTER_DIRECTORY, componentStates, down, findCluster, type RunningCluster, up } from './cluster.ts';
import { COMPONENTS, containerdSocket } from './configuration.ts';
import { exec } from './exec.ts';
import { jaegerImage, prometheusImage, WEFT_IMAGE } from './image-list.ts';
import { loadImage } from './images.ts';
import { installWeft } from './install.ts';
import { logFile } from './processes.ts';
import { loadOwnImages, provision } from './provision.ts';

const USAGE = `Usage: npm run cluster -- <verb>

  up               a Kubernetes with CoreDNS, the Gateway API's CRDs and the images of this work tree
  down             takes it down; nothing is left on the machine
  load             loads the images of Weft and of the shop again, after a change
  load observability
                   loads those of manifests/observability, Jaeger and Prometheus
  install [<…>]    loads, and installs Weft with them; arguments are those of \`weft install\`
  kubeconfig       prints the path of its kubeconfig
  status           what runs
  logs <component> prints what ${COMPONENTS.join(', ')} said
  kubectl <…>      runs kubectl against it
  binary <name>    builds a program and prints its path: ${BINARIES.join(', ')}

Needs Linux and root. The first time, its programs are built from Go modules: about 10 minutes.
`;

const say = (line: string) => process.stderr.write(`cluster: ${line}\n`);
const print = (line: string) => process.stdout.write(`${line}\n`);

class Refused extends Error {}

function running(): RunningCluster {
  const cluster = findCluster();
  if (!cluster) throw new Refused('no cluster is up: npm run cluster -- up');
  return cluster;
}

async function status(): Promise<number> {
  const states = componentStates();
  for (const [name, runs] of Object.entries(states)) print(`${name.padEnd(20)} ${runs ? 'running' : 'not running'}`);
  const cluster = findCluster();
  if (!cluster) return 1;
  const { stdout, stderr } = await exec(cluster.kubectl, ['--kubeconfig', cluster.kubeconfig, 'get', 'nodes,pods', '-A', '-o', 'wide']);
  print(`${stdout}${stderr}`.trimEnd());
  return 0;
}

const VERBS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  async up() {
    const cluster = await up({ log: say });
    await provision(cluster, say);
    print(`export KUBECONFIG=${cluster.kubeconfig}`);
    say(`kubectl is ${cluster.kubectl}; crictl and ctr: CONTAINERD_ADDRESS=${containerdSocket(cluster.directory)}`);
    return 0;
  },
  async down() {
    await down({ log: say });
    return 0;
  },
  async load([what]) {
    const { directory } = running();
    if (what === undefined) await loadOwnImages(directory, say);
    else if (what !== 'observability') throw new Refused(`load takes nothing, or "observability"; not "${what}"`);
    else for (const image of [await jaegerImage(), await prometheusImage()]) await loadImage(directory, image);
    return 0;
  },
  async install(args) {
    const { directory, kubectl, kubeconfig } = running();
    await loadOwnImages(directory, say);
    const startedAt = Date.now();
    await installWeft({ kubectl, kubeconfig, image: WEFT_IMAGE, args });
    say(`Weft installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
    return 0;
  },
  async kubeconfig() {
    print(running().kubeconfig);
    return 0;
  },
  status,
  async logs([component = '']) {
    const file = logFile(CLUSTER_DIRECTORY, component);
    if (!(COMPONENTS as readonly string[]).includes(component) || !existsSync(file)) {
      throw new Refused(`no log of "${component}": one of ${COMPONENTS.join(', ')}`);
    }
    const { stdout } = await exec('cat', [file]);
    process.stdout.write(stdout);
    return 0;
  },
  async kubectl(args) {
    const cluster = running();
    const { stdout, stderr, code } = await exec(cluster.kubectl, ['--kubeconfig', cluster.kubeconfig, ...args]);
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    return code;
  },
  async binary([name = '']) {
    const known = BINARIES.find((one) => one === name);
    if (!known) throw new Refused(`no program "${name}": one of ${BINARIES.join(', ')}`);
    print(await binary(known, say));
    return 0;
  },
};

const [verb = '', ...args] = process.argv.slice(2);
const work = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
if (!work) {
  process.stderr.write(USAGE);
  process.exitCode = verb === '' || verb === 'help' || verb === '--help' ? 0 : 2;
} else {
  try {
    process.exitCode = await work(args);
  } catch (error) {
    say((error as Error).message);
    process.exitCode = 1;
  }
}
