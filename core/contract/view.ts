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
  /** Absent: it is not loaded yet, or never changes. */
  readonly authority?: AuthorityView;
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

/** The authority, and how far its replacement has come. */
export interface AuthorityView {
  /**
   * `steady`: one signs. `distributing`: the next one's roots are on their way to all that must trust them.
   * `retiring`: the next one signs, and old roots are trusted until no leaf of theirs is left.
   */
  readonly phase: 'steady' | 'distributing' | 'retiring';
  readonly signing: AuthorityCertificateView;
  readonly next: AuthorityCertificateView | null;
  /** Who renews it, in words: `Weft`, `cert-manager Certificate …`; '': a person. */
  readonly managedBy: string;
  /** Unix ms when Weft makes the next one by itself; 0: it does not. */
  readonly rotatesAtMs: number;
  /** Unix ms since when the next one's roots are sent; 0: there is no next one. */
  readonly sinceMs: number;
  /** Old roots, each with the time when it is dropped. */
  readonly retired: readonly { readonly subject: string; readonly untilMs: number }[];
  /** How many are trusted. */
  readonly roots: number;
  readonly generation: number;
  /** What the next one waits for before it signs; said by the leader alone. */
  readonly waitsFor: readonly string[];
  /** What keeps old roots from being dropped before their time; said by the leader alone. */
  readonly leavesOfOld: readonly string[];
  /** Why the authority in the Secret cannot be used; '' when it can. Said by the leader alone. */
  readonly refused: string;
}

export interface AuthorityCertificateView {
  readonly id: string;
  readonly subject: string;
  /** The subject of its root. */
  readonly root: string;
  readonly notAfterMs: number;
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
