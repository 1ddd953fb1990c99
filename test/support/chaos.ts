// Everything at once that one call, pod or client may do to a mesh, by a seed: and beside it calls that nothing was done
// to. Of those none may fail.
import type { KubeObject } from '#kube/object.ts';
import { dice } from './dice.ts';
import { type GrpcApp, GrpcCaller, type Outcome, startApp } from './grpc-app.ts';
import { TestMesh } from './mesh.ts';
import { grpcRoute, to } from './routes.ts';

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
}

export interface ChaosReport {
  /** Calls of bystanders that ended well. */
  readonly bystanders: number;
  /** What bystanders lost: none of it may be there. */
  readonly lost: readonly string[];
  /** How often each thing was done. */
  readonly done: Readonly<Record<string, number>>;
  /** Calls under way to an application at the moment that it was killed: those it may take along. */
  readonly killed: number;
  /** MiB of heap and buffers after a collection: when a third of the time was over, and at the end. */
  readonly memoryMiB: readonly [number, number];
}

/** Certificates live for so long, and are renewed at half of it. */
const LEAF_LIFETIME_MS = 10_000;
const SERVING = ['payment-a', 'payment-b', 'payment-c'];
/** Each has a pod that stays when the other is killed. */
const BACKENDS = { 'payment-v1': ['payment-a', 'payment-c'], 'payment-v2': ['payment-b', 'payment-c'] };
/** Only this one is killed, and stays away for so long. */
const VICTIM = 'payment-c';
const AWAY_MS = 700;
/** Until its sidecar has seen that the sockets are closed: what is sent meanwhile goes to it, too. */
const UNSEEN_MS = 50;
/** An application says GOAWAY on connections of this age, and lets their calls end. */
const CONNECTION_AGE_MS = 3000;
const OVERSIZE = 100 * 1024;
const BYSTANDER_LOOPS = 4;

export class Chaos {
  private readonly options: ChaosOptions;
  private readonly random: () => number;
  private readonly mesh: TestMesh;
  private readonly apps = new Map<string, GrpcApp>();
  private readonly done = new Map<string, number>();
  private readonly lost: string[] = [];
  private readonly startMs = performance.now();
  private bystanders = 0;
  private killed = 0;
  /** Time of the last kill, ms. */
  private killedAtMs = Number.NEGATIVE_INFINITY;
  private running = true;

  private constructor(options: ChaosOptions, mesh: TestMesh) {
    this.options = options;
    this.random = dice(options.seed);
    this.mesh = mesh;
  }

  static async run(options: ChaosOptions): Promise<ChaosReport> {
    const mesh = await TestMesh.start({
      pods: [
        ...SERVING.map((name) => ({ name, serves: true })),
        { name: 'checkout', calls: ['payment'] },
        { name: 'bystander', calls: ['payment'] },
      ],
      services: { payment: SERVING, ...BACKENDS },
      routes: [route(0)],
      leafLifetimeMs: LEAF_LIFETIME_MS,
    });
    const chaos = new Chaos(options, mesh);
    try {
      return await chaos.all();
    } finally {
      for (const app of chaos.apps.values()) app.kill();
      await mesh.close();
    }
  }

  private async all(): Promise<ChaosReport> {
    for (const name of SERVING) await this.startApp(name);
    const wild = new GrpcCaller(this.mesh.address('checkout', 'payment'));
    // One has its pod for itself, the other shares a pod and a connection with the calls that are disturbed.
    const calm = [new GrpcCaller(this.mesh.address('bystander', 'payment')), wild];
    const loops = calm.flatMap((caller, i) => [
      ...Array.from({ length: BYSTANDER_LOOPS }, () => this.unaryLoop(caller, i === 0 ? 'bystander' : 'checkout')),
      this.chatLoop(caller),
    ]);
    const disturbing = [this.disturb(wild), this.rewrite(), this.kill()];
    const third = await this.memoryAt(this.options.seconds / 3);
    await this.until(this.options.seconds);
    this.running = false;
    await Promise.all([...loops, ...disturbing]);
    const end = memoryMiB();
    for (const caller of calm) caller.close();
    const { bystanders, lost, killed } = this;
    return { bystanders, lost, killed, done: Object.fromEntries(this.done), memoryMiB: [third, end] };
  }

  // === Those to whom nothing is done

  private async unaryLoop(caller: GrpcCaller, name: string): Promise<void> {
    while (this.running) {
      const begunMs = performance.now();
      this.judge(`unary of ${name}`, await caller.unary({ question: { delayMs: 5, text: 'calm' } }), begunMs);
    }
  }

  private async chatLoop(caller: GrpcCaller): Promise<void> {
    while (this.running) {
      const begunMs = performance.now();
      const chat = caller.chat();
      for (let i = 0; i < 20 && this.running && (await chat.say(`${i}`)) !== null; i++) await sleep(100);
      this.judge('chat', await chat.finish(), begunMs);
    }
  }

  private judge(what: string, { code, details }: Outcome, begunMs: number): void {
    if (code === 0) this.bystanders++;
    else if (begunMs < this.killedAtMs) this.killed++;
    else {
      const [at, took] = [begunMs - this.startMs, performance.now() - begunMs].map(Math.round);
      this.lost.push(`${what} after ${at} ms, which took ${took} ms: ${code} ${details.slice(0, 200)}`);
    }
  }

  // === What is done

  private async disturb(caller: GrpcCaller): Promise<void> {
    const calls: Promise<unknown>[] = [];
    const kinds: readonly [string, () => Promise<unknown>][] = [
      ['cancel', () => caller.unary({ question: { delayMs: 50 }, cancelAfterMs: this.below(30) })],
      ['deadline', () => caller.unary({ question: { delayMs: 100 }, timeoutMs: 1 + this.below(20) })],
      ['paused reader', () => caller.pausedDownload({ count: 40, text: 'p'.repeat(10_000) }, this.below(3000))],
      ['oversize request', () => caller.unary({ metadata: { 'x-large': 'o'.repeat(OVERSIZE) } })],
      ['oversize status', () => caller.unary({ question: { failWith: OVERSIZE } })],
      ['upload', () => caller.upload(Array.from({ length: 20 }, () => 'u'.repeat(20_000)))],
      [
        'burst of cancels',
        () => Promise.all(Array.from({ length: 50 }, () => caller.unary({ question: { delayMs: 20 }, cancelAfterMs: 1 }))),
      ],
    ];
    while (this.running) {
      const [name, act] = kinds[this.below(kinds.length)];
      this.count(name);
      calls.push(act());
      await sleep(10 + this.below(30));
    }
    await Promise.all(calls);
  }

  private async rewrite(): Promise<void> {
    for (let turn = 1; this.running; turn++) {
      this.mesh.setRoutes([route(turn)]);
      this.count('route rewrite');
      await sleep(100);
    }
  }

  private async kill(): Promise<void> {
    while (this.running) {
      await sleep(3000 + this.below(3000));
      if (!this.running) return;
      this.count('kill');
      this.killedAtMs = performance.now();
      this.apps.get(VICTIM)!.kill();
      await sleep(UNSEEN_MS);
      this.killedAtMs = performance.now();
      await sleep(AWAY_MS - UNSEEN_MS);
      await this.startApp(VICTIM);
    }
  }

  private async startApp(name: string): Promise<void> {
    const options = { 'grpc.max_connection_age_ms': CONNECTION_AGE_MS };
    this.apps.set(name, await startApp(name, this.mesh.appAddress(name), options));
  }

  // === Time and numbers

  private count(what: string): void {
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
  }

  private below(bound: number): number {
    return Math.floor(this.random() * bound);
  }

  private until(seconds: number): Promise<void> {
    return sleep(Math.max(0, this.startMs + seconds * 1000 - performance.now()));
  }

  private async memoryAt(seconds: number): Promise<number> {
    await this.until(seconds);
    return memoryMiB();
  }
}

/** Weights differ with each turn, and so does a header. */
function route(turn: number): KubeObject {
  const weights = Object.keys(BACKENDS).map((name, i) => to(name, 10 + ((turn + 7 * i) % 50)));
  const filter = { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-turn', value: `${turn}` }] } };
  return grpcRoute([{ filters: [filter], backendRefs: weights }], { name: 'payment', parent: 'payment' });
}

function memoryMiB(): number {
  (globalThis.gc as (() => void) | undefined)?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 2 ** 20;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
