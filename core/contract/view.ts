// The JSON of the control plane's GET /status: what `weft status`, `weft check` and a dashboard read.

/** Times are Unix ms. One replica's view: it knows of the sidecars that are connected to it. */
export interface StatusView {
  readonly version: string;
  /** The pod that answers. */
  readonly replica: string;
  /** Whether this replica writes statuses and trust bundles. */
  readonly leader: boolean;
  readonly trustDomain: string;
  /** Nothing is signed from then on. 0: the authority is not loaded yet. */
  readonly authorityNotAfterMs: number;
  /** Kinds that the API server does not serve, such as GRPCRoute. */
  readonly missingKinds: readonly string[];
  /** What is wrong, one sentence each. Empty: all is well. */
  readonly problems: readonly string[];
  readonly routes: readonly RouteView[];
  readonly sidecars: readonly SidecarView[];
  /** Of each Service a recent slow call and the last failed one, of those whose traces are recorded. */
  readonly calls: readonly TracedCallView[];
  /** Empty where the objects come from files. */
  readonly reflectors: readonly ReflectorView[];
}

export interface RouteView {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** metadata.generation that was judged. */
  readonly generation: number;
  readonly parents: readonly ParentView[];
}

export interface ParentView {
  /** The Service, "namespace/name". */
  readonly parent: string;
  /** Of the parentRef; absent: all ports. */
  readonly port?: number;
  readonly conditions: readonly ConditionView[];
  readonly applied: AppliedOn;
}

/** metav1.Condition without the time of its last change. */
export interface ConditionView {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

/** How far a resource has come: `want` sidecars should have it, `applied` of them run its latest version. */
export interface AppliedOn {
  readonly want: number;
  readonly applied: number;
  readonly rejected: readonly { readonly pod: string; readonly version: string; readonly reason: string }[];
}

export interface SidecarView {
  readonly namespace: string;
  readonly pod: string;
  /** Name of the Deployment or the like; empty: the pod is not known. */
  readonly workload: string;
  /** Weft's version in the sidecar. */
  readonly version: string;
  readonly connectedSinceMs: number;
  /** 0: nothing is acknowledged yet. */
  readonly lastAckMs: number;
  /** 0: not known. */
  readonly certificateNotAfterMs: number;
  /** How many resources it runs. */
  readonly resources: number;
  /** How many are on their way. */
  readonly pending: number;
  readonly rejected: readonly { readonly name: string; readonly reason: string }[];
}

/** A call whose trace is recorded, as the caller's sidecar reported it. */
export interface TracedCallView {
  /** 32 hex digits. */
  readonly traceId: string;
  /** "<namespace>/<name>:<port>" of the Service that was called. */
  readonly service: string;
  readonly method: string;
  /** "GRPCRoute/<namespace>/<name>", empty without one. */
  readonly route: string;
  /** gRPC status. */
  readonly code: number;
  readonly ms: number;
  /** Never after the report. */
  readonly endedMs: number;
  /** Label of the proxy's own error; empty: the answer is the endpoint's. */
  readonly error: string;
  readonly kind: 'slow' | 'failed';
  /** The caller, "namespace/workload". */
  readonly from: string;
}

export interface ReflectorView {
  readonly kind: string;
  readonly synced: boolean;
  /** 0: there was none yet. */
  readonly lastEventMs: number;
  /** Empty: none. */
  readonly lastError: string;
}
