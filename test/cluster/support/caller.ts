// The caller's pod from the test's side: calls, batches and loads from inside the mesh (or beside it), their results as
// values.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { eventually, type Objects, type PodItem } from './objects.ts';
import { callerPod } from './workloads.ts';

export interface Call {
  /** host:port as the application would write it. */
  readonly to: string;
  /** Default /proto.EchoTestService/Echo. */
  readonly path?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly authority?: string;
  readonly timeoutMs?: number;
  /** On a connection of its own. */
  readonly fresh?: boolean;
  readonly tls?: boolean;
  /** Request message, base64; default: empty. */
  readonly body?: string;
}

export interface GrpcAnswer {
  /** Present: there was no proper answer. */
  readonly error?: string;
  readonly httpStatus: number;
  /** -1: the answer had none. */
  readonly grpcStatus: number;
  readonly message: string;
  readonly headers: Record<string, string | string[]>;
  readonly trailers: Record<string, string>;
  /** Pod that answered. */
  readonly hostname?: string;
  /** Request headers as the pod that answered saw them, one element a line. */
  readonly seen: Record<string, string[]>;
}

export interface HttpAnswer {
  readonly error?: string;
  readonly status: number;
  readonly headers: [string, string][];
  readonly body: string;
}

export interface Counts {
  readonly calls: number;
  readonly ok: number;
  readonly failed: number;
  /** How often each error, at most 20 of them. */
  readonly errors: Record<string, number>;
  /** Answers by Deployment. */
  readonly answers: Record<string, number>;
}

export interface LoadResult {
  /** Since the last look. */
  readonly window: Counts;
  readonly total: Counts;
  readonly connectionsMade: number;
}

/** How often a call has to succeed in a row before a route counts as in force; the conformance suite's figure. */
const IN_A_ROW = 3;

export class Caller {
  readonly namespace: string;
  readonly name: string;
  readonly #objects: Objects;
  #child: ChildProcessWithoutNullStreams | undefined;
  #waiting = new Map<number, { resolve(answer: Record<string, unknown>): void; reject(error: Error): void }>();
  #lastId = 0;

  private constructor(objects: Objects, namespace: string, name: string) {
    this.#objects = objects;
    this.namespace = namespace;
    this.name = name;
  }

  /**
   * Makes the pod and waits until it is Ready.
   * @param labels of the pod: weft.dev/inject=disabled for a caller outside of the mesh
   */
  static async start(objects: Objects, namespace: string, name = 'caller', labels: Record<string, string> = {}, pod = {}): Promise<Caller> {
    await objects.apply(...callerPod(namespace, name, labels, pod));
    await objects.must(['wait', '--for=condition=Ready', `pod/${name}`, '-n', namespace, '--timeout=180s']);
    const caller = new Caller(objects, namespace, name);
    await eventually(`the agent in ${namespace}/${name}`, async () => {
      await caller.#ask('batch', { count: 0 });
      return true;
    });
    return caller;
  }

  async pod(): Promise<PodItem> {
    return (await this.#objects.get<PodItem>('pod', this.name, this.namespace))!;
  }

  grpc(call: Call): Promise<GrpcAnswer> {
    return this.#ask<GrpcAnswer>('grpc', call);
  }

  /** Calls one after the other on one connection. */
  async batch(call: Call, count: number): Promise<GrpcAnswer[]> {
    return (await this.#ask('batch', { ...call, count })).results as GrpcAnswer[];
  }

  /** How many of `count` calls each Deployment answered; a call that failed counts under its error. */
  async shares(call: Call, count: number): Promise<Record<string, number>> {
    const shares: Record<string, number> = {};
    for (const answer of await this.batch(call, count)) {
      const key = answer.grpcStatus === 0 ? deploymentOf(answer) : (answer.error ?? `grpc-status ${answer.grpcStatus}`);
      shares[key] = (shares[key] ?? 0) + 1;
    }
    return shares;
  }

  /** Calls until the answer is as wanted, three times in a row. @throws Error with the last answer */
  async until(what: string, call: Call, wanted: (answer: GrpcAnswer) => boolean, withinMs = 30_000): Promise<GrpcAnswer> {
    let answer: GrpcAnswer | undefined;
    let row = 0;
    const attempt = async (): Promise<GrpcAnswer | false> => {
      answer = await this.grpc(call);
      row = wanted(answer) ? row + 1 : 0;
      return row >= IN_A_ROW && answer;
    };
    try {
      return await eventually(what, attempt, withinMs, 50);
    } catch (error) {
      throw new Error(`${(error as Error).message}; last answer: ${JSON.stringify(answer)}`);
    }
  }

  http(order: { url: string; method?: string; headers?: Record<string, string>; timeoutMs?: number }): Promise<HttpAnswer> {
    return this.#ask<HttpAnswer>('http', order);
  }

  tcp(order: {
    host: string;
    port: number;
    send?: string;
    until?: string;
    timeoutMs?: number;
  }): Promise<{ received: string; error?: string }> {
    return this.#ask<{ received: string; error?: string }>('tcp', order);
  }

  /** Starts calls at a rate; they go on until `stop`, also while exec does not work. */
  async load(order: Call & { rps: number; connections?: number }): Promise<{ look(): Promise<LoadResult>; stop(): Promise<LoadResult> }> {
    const { task } = await this.#ask('load', order);
    return {
      look: () => this.#ask<LoadResult>('look', { task }),
      stop: () => this.#ask<LoadResult>('stop', { task }),
    };
  }

  /**
   * Asks all the time on kept connections; `shows` gives the time (ms since the epoch) from which on all of them show a
   * header's value, or the name of the pod that answers.
   */
  async poll(
    order: Call & { header?: string; connections?: number; everyMs?: number },
  ): Promise<{ shows(value: string): Promise<number>; stop(): Promise<void> }> {
    const { task } = await this.#ask('poll', order);
    return {
      shows: async (value) => (await this.#ask('expect', { task, value })).atMs as number,
      stop: async () => void (await this.#ask('stop', { task })),
    };
  }

  /** Ends the conversation; the pod goes with its namespace. */
  close(): void {
    this.#child?.kill();
    this.#child = undefined;
  }

  #ask<T = Record<string, unknown>>(verb: string, order: object): Promise<T> {
    const child = (this.#child ??= this.#converse());
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (answer) => resolve(answer as T), reject });
      child.stdin.write(`${JSON.stringify({ id, verb, ...order })}\n`);
    });
  }

  #converse(): ChildProcessWithoutNullStreams {
    const args = ['exec', '-i', '-n', this.namespace, this.name, '-c', 'agent', '--', 'node', '/agent/agent.mjs', 'ask'];
    const child = spawn(this.#objects.kubectlPath, args, { env: { ...process.env, KUBECONFIG: this.#objects.kubeconfig } });
    let rest = '';
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    child.stdin.on('error', () => {});
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.#answered(JSON.parse(line) as { id: number; failure?: string });
    });
    child.on('close', () => {
      if (this.#child === child) this.#child = undefined;
      for (const { reject } of this.#waiting.values())
        reject(new Error(`exec into ${this.namespace}/${this.name} ended: ${complaint.trim()}`));
      this.#waiting.clear();
    });
    return child;
  }

  #answered(answer: { id: number; failure?: string }): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.failure === undefined) waiting?.resolve(answer);
    else waiting?.reject(new Error(`agent: ${answer.failure}`));
  }
}

/** `echo-v1` of `echo-v1-5d4c8-x2x2x`. */
export function deploymentOf(answer: GrpcAnswer): string {
  return answer.hostname?.replace(/-[a-z0-9]+-[a-z0-9]+$/, '') ?? 'nobody';
}
