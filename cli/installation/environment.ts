// The environment of a Deployment's containers, as the programs in them will read it.

/** As much of a Deployment as is read here. */
export interface DeploymentLike {
  readonly spec?: {
    readonly template?: {
      readonly spec?: {
        readonly containers?: readonly { readonly env?: readonly { name?: string; value?: string; valueFrom?: object }[] }[];
      };
    };
  };
}

/**
 * Name → value; undefined where it comes from elsewhere, such as the downward API. The API server does not store a
 * value that is empty.
 */
export function environmentOf({ spec }: DeploymentLike): Record<string, string | undefined> {
  const env = (spec?.template?.spec?.containers ?? []).flatMap((container) => container.env ?? []);
  return Object.fromEntries(env.map(({ name = '', value, valueFrom }) => [name, valueFrom === undefined ? (value ?? '') : undefined]));
}
