// The parts of Kubernetes manifests that `weft run` reads, as they are on the wire. All is optional: people write them.

export interface ManifestMeta {
  name?: string;
  namespace?: string;
  uid?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  [other: string]: unknown;
}

export interface Manifest {
  apiVersion?: string;
  kind?: string;
  metadata?: ManifestMeta;
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own; the narrow views below are taken after a look at `kind`
  spec?: any;
  [other: string]: unknown;
}

export interface EnvVar {
  name?: string;
  value?: string;
  valueFrom?: { fieldRef?: { fieldPath?: string }; [other: string]: unknown };
}

export interface ManifestProbe {
  tcpSocket?: { port?: number | string; host?: string };
  httpGet?: { port?: number | string; path?: string; host?: string; scheme?: string; httpHeaders?: { name?: string; value?: string }[] };
  grpc?: { port?: number; service?: string };
  exec?: { command?: string[] };
  initialDelaySeconds?: number;
  periodSeconds?: number;
  timeoutSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
}

export interface ManifestContainer {
  name?: string;
  image?: string;
  command?: string[];
  args?: string[];
  workingDir?: string;
  env?: EnvVar[];
  envFrom?: unknown[];
  ports?: { name?: string; containerPort?: number; hostPort?: number; protocol?: string }[];
  readinessProbe?: ManifestProbe;
  livenessProbe?: ManifestProbe;
  startupProbe?: ManifestProbe;
  lifecycle?: unknown;
  volumeMounts?: unknown[];
}

export interface ManifestPodSpec {
  restartPolicy?: string;
  /** From SIGTERM to SIGKILL; absent: the run's own. */
  terminationGracePeriodSeconds?: number;
  serviceAccountName?: string;
  containers?: ManifestContainer[];
  initContainers?: ManifestContainer[];
}

export interface ServicePortSpec {
  name?: string;
  port?: number;
  targetPort?: number | string;
  protocol?: string;
  appProtocol?: string;
}

export interface ServiceSpec {
  type?: string;
  clusterIP?: string;
  clusterIPs?: string[];
  selector?: Record<string, string>;
  ports?: ServicePortSpec[];
  /** Pods take its traffic before they are ready. */
  publishNotReadyAddresses?: boolean;
}

/** A manifest and the file it stands in (for messages, and because commands start in that file's directory). */
export interface SourcedManifest {
  readonly object: Manifest;
  /** Absolute path; undefined if it is not known. */
  readonly file?: string;
}

/** "<namespace>/<name>"; a missing namespace is `default`, as kubectl has it. */
export function manifestKey(object: Manifest): string {
  return `${object.metadata?.namespace ?? 'default'}/${object.metadata?.name ?? ''}`;
}

/** A Kubernetes label selector with equality only, as Services have it; an empty one selects nothing. */
export function selects(selector: Record<string, string> | undefined, labels: Record<string, string>): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([name, value]) => labels[name] === value);
}

/** TCP is what a mesh carries; UDP and SCTP ports are left alone. */
export function isTcp(port: { protocol?: string }): boolean {
  return (port.protocol ?? 'TCP') === 'TCP';
}
