// metav1.Condition: what a status says of an object.

/** A condition without its time, which is given when it is written. */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  /** At most 1024 characters, a CamelCase word. */
  reason: string;
  /** At most 32768 characters. */
  message: string;
  observedGeneration: number;
}

/** A condition as the API server keeps it. */
export interface StoredCondition {
  type?: string;
  status?: string;
  reason?: string;
  message?: string;
  observedGeneration?: number;
  /** RFC 3339, whole seconds: when `status` became what it is. */
  lastTransitionTime?: string;
}
