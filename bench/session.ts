// What the parts of one benchmark share: options, load, work for proxies, and all that runs and must be stopped
// whatever happens.
import type { Backends } from './backends.ts';
import type { LoadSettings, Shape } from './load.ts';
import { type Measurement, measure, shapeName } from './measure.ts';
import type { Options } from './options.ts';
import type { Peer, Protocol, Running, Scenario, Work } from './peers/peer.ts';
import { FIRST_WARM_SECONDS, METHODS, PROXY_CORE, WARM_SECONDS } from './work.ts';

export interface Runner {
  readonly peer: string;
  readonly scenario: Scenario;
  readonly proxy: Running;
}

/** What a session works with. */
export interface Setup {
  readonly options: Options;
  readonly load: Omit<LoadSettings, 'host' | 'port'>;
  readonly backends: Backends;
  readonly trust: Pick<Work, 'authority' | 'certificates'>;
  /** For files of this run. */
  readonly directory: string;
}

export class Session {
  readonly setup: Setup;
  readonly running: Runner[] = [];
  /** What else must be stopped in the end. */
  readonly owned: { stop(): Promise<void> }[] = [];
  /** What is missing, and why. */
  readonly notes: string[] = [];
  /** Measurements without a result. */
  readonly failures: string[] = [];

  constructor(setup: Setup) {
    this.setup = setup;
  }

  /** Progress, for the person who waits. */
  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** @returns null, and a note, when something that the scenario needs is not installed */
  work(scenario: Scenario, protocol: Protocol = this.setup.load.protocol): Work | null {
    const { backends, trust, directory } = this.setup;
    const backendPorts = scenario === 'mtls' ? backends.tls : backends.plain;
    if (backendPorts !== null)
      return { scenario, protocol, backendPorts, methods: METHODS, ...trust, core: PROXY_CORE, directory, path: this.setup.load.path };
    this.notes.push('mTLS to the backend was left out: HAProxy ends TLS there and is not installed: apt-get install haproxy');
    return null;
  }

  /** Starts a proxy; one that does not start is a note. @param name of the peer in the results */
  async start(peer: Peer, work: Work, name = peer.name): Promise<Runner | null> {
    try {
      const runner = { peer: name, scenario: work.scenario, proxy: await peer.start(work) };
      this.running.push(runner);
      return runner;
    } catch (error) {
      this.notes.push(`${name} (${work.scenario}) did not start: ${(error as Error).message}`);
      return null;
    }
  }

  /** Measures a proxy once; without a result that is a failure of this session. @param round from 0 */
  async measure({ peer, scenario, proxy }: Runner, shape: Shape, round: number): Promise<Measurement | null> {
    const { load, options } = this.setup;
    const warmSeconds = Math.min(options.seconds, round === 0 ? FIRST_WARM_SECONDS : WARM_SECONDS);
    try {
      const result = await measure(load, proxy, { peer, scenario, shape }, { ...options, warmSeconds });
      this.say(
        `  ${scenario} ${shapeName(shape)} ${peer}: ${Math.round(result.requestsPerSecond)} requests/s, ` +
          `${result.cpuUs.map((us) => us.toFixed(1)).join(' + ')} µs${result.errors > 0 ? `, ${result.errors} ERRORS` : ''}`,
      );
      return result;
    } catch (error) {
      this.failures.push(`${peer} (${scenario} ${shapeName(shape)}) failed: ${(error as Error).message}`);
      return null;
    }
  }

  async stop(): Promise<void> {
    await this.stopProxies();
    for (const each of this.owned.splice(0)) await each.stop();
  }

  async stopProxies(): Promise<void> {
    for (const { proxy } of this.running.splice(0)) await proxy.stop();
  }
}
