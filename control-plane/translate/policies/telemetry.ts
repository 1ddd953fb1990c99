// XTelemetryPolicy objects of a namespace → what the pods of their targets report, and the verdict on each. Pure.
// Written for Gateways; that a Service or the namespace itself may be the target is Weft's own extension. Gateways are
// others' to judge.
import { isDeepStrictEqual } from 'node:util';
import { didYouMean } from '#core/text/nearest.ts';
import { quote, sentence } from '#core/text/printable.ts';
import type { Condition } from '#objects/condition.ts';
import { entriesOf, fieldsOf, isAbsent, isInteger, portOf, textOf } from '#objects/fields.ts';
import { backendServiceOf, isCoreGroup, keyOf, namespaceOf, type ParentReference, splitKey } from '#objects/references.ts';
import { EXPERIMENTAL_GROUP, type PolicyTracing, type XTelemetryPolicy } from '#objects/telemetry-policy.ts';
import type { Touched } from '#objects/touched.ts';
import type { ObjectView } from '../../store/object-store.ts';
import { compareByAge, creationTimeOf } from '../age.ts';
import { frontendOf, listPorts, meshPorts } from '../ports.ts';
import { isGranted, suggestService } from '../routes/backends.ts';

/** What the endpoint of a Telemetry message says where no spans are to be made. */
export const NO_COLLECTOR = 'off';

/** The part of a Telemetry message that a policy decides. */
export interface PolicyTelemetry {
  /** 0 to 1; undefined: as the sidecar was started. */
  readonly traceSampling: number | undefined;
  /** NO_COLLECTOR, a URL, or '': as the sidecar was started. */
  readonly otlpEndpoint: string;
  readonly serviceName: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A policy as judged, with one entry for its status per target that is ours. */
export interface PolicyVerdict {
  readonly policy: XTelemetryPolicy;
  readonly ancestors: readonly { readonly ref: ParentReference; readonly conditions: readonly Condition[] }[];
}

export interface JudgedPolicies {
  readonly verdicts: readonly PolicyVerdict[];
  /**
   * Target ('' the namespace, else the key of a Service) → what holds there; the oldest policy's first. null: its
   * collector is not known yet.
   */
  readonly holding: ReadonlyMap<string, PolicyTelemetry | null>;
}

const MOST_TARGETS = 16;
const MOST_ATTRIBUTES = 32;
const LONGEST_MESSAGE = 4096;
const OTLP_HTTP_PORT = 4318;
const MODES = ['Enabled', 'Disabled', 'ImplementationDefault'];
const UNCHANGED: PolicyTelemetry = { traceSampling: undefined, otlpEndpoint: '', serviceName: '', attributes: {} };

/** ", did you mean …?" for a Service that is not there. */
type Suggest = (serviceKey: string) => string;

/** Of two policies for one target the older holds, then the first by name; the other's status says so. */
export function judgePolicies(namespace: string, objects: ObjectView, defaultSampling: number): JudgedPolicies {
  return judge(namespace, objects, defaultSampling, (key) => suggestService(key, objects));
}

function judge(namespace: string, objects: ObjectView, defaultSampling: number, suggest: Suggest): JudgedPolicies {
  const ranked = objects
    .policiesIn(namespace)
    .map((policy) => ({ policy, createdAtMs: creationTimeOf(policy), key: keyOf(namespace, textOf(policy.metadata?.name) ?? '') }))
    .sort(compareByAge);
  const holding = new Map<string, PolicyTelemetry | null>();
  const holders = new Map<string, string>();
  const verdicts = ranked.map(({ policy, key }): PolicyVerdict => {
    const tracing = readTracing(policy, objects, defaultSampling, suggest);
    const targets = new Map<string, PolicyVerdict['ancestors'][number]>();
    let missing = 0;
    // Looking for a near name costs as much as there are Services: for the first that is missing.
    const suggestOnce: Suggest = (key) => (missing++ === 0 ? suggest(key) : '');
    for (const ref of entriesOf(fieldsOf(policy.spec).targetRefs).slice(0, MOST_TARGETS)) {
      const target = targetOf(ref, namespace, objects, suggestOnce);
      if (target === undefined || targets.has(target.key)) continue;
      let refusal = target.fault ?? tracing.invalid;
      const holder = holders.get(target.key);
      if (refusal === undefined && holder !== undefined)
        refusal = { reason: 'Conflicted', message: `policy ${quote(holder)}, which is older, holds for this target` };
      if (refusal === undefined) {
        holders.set(target.key, key);
        holding.set(target.key, tracing.unresolved === undefined ? tracing.telemetry : null);
      }
      targets.set(target.key, { ref: target.ref, conditions: conditionsOf(policy, tracing, refusal) });
    }
    return { policy, ancestors: [...targets.values()] };
  });
  return { verdicts, holding };
}

const NOTHING: JudgedPolicies['holding'] = new Map();

/** What policies say for pods. What holds in a namespace is kept until one of the objects that decide it is another. */
export class PoliciesOfPods {
  private readonly objects: ObjectView;
  private readonly defaultSampling: number;
  /** Namespace → what holds there; of those with policies that were asked about. */
  private readonly known = new Map<string, JudgedPolicies['holding']>();

  constructor(objects: ObjectView, defaultSampling: number) {
    this.objects = objects;
    this.defaultSampling = defaultSampling;
  }

  /** One for a Service that the pod serves goes before one for the namespace. Undefined: nothing. */
  of(podKey: string): PolicyTelemetry | undefined {
    const holding = this.holdingIn(splitKey(podKey)[0]);
    if (holding.size === 0) return undefined;
    const services = this.objects.servicesOf(podKey);
    for (const [target, telemetry] of holding) if (services.has(target)) return telemetry ?? undefined;
    return holding.get('') ?? undefined;
  }

  /**
   * Takes a change into account; it must see every one. Policies are few: where there are none, Services and their
   * endpoints say nothing of workloads.
   * @returns the namespaces where of() may answer differently now
   */
  take({ policies, policyInputs, endpoints }: Touched): Set<string> {
    const concerned = new Set(policies);
    for (const namespace of policies) this.known.delete(namespace);
    if (policyInputs)
      for (const [namespace, before] of [...this.known]) {
        this.known.delete(namespace);
        if (!isDeepStrictEqual(before, this.holdingIn(namespace))) concerned.add(namespace);
      }
    for (const service of endpoints) {
      const [namespace] = splitKey(service);
      if (this.holdingIn(namespace).has(service)) concerned.add(namespace);
    }
    return concerned;
  }

  private holdingIn(namespace: string): JudgedPolicies['holding'] {
    const known = this.known.get(namespace);
    if (known !== undefined) return known;
    if (this.objects.policiesIn(namespace).length === 0) return NOTHING;
    const { holding } = judge(namespace, this.objects, this.defaultSampling, () => '');
    this.known.set(namespace, holding);
    return holding;
  }
}

interface Fault {
  readonly reason: string;
  readonly message: string;
}

interface Target {
  readonly key: string;
  readonly ref: ParentReference;
  readonly fault: Fault | undefined;
}

/** Undefined: not ours to judge. */
function targetOf(
  written: { group?: string; kind?: string; name?: string } | null,
  namespace: string,
  objects: ObjectView,
  suggest: Suggest,
): Target | undefined {
  const { group, kind, name: given } = fieldsOf(written);
  const name = textOf(given);
  if (!isCoreGroup(group) || (kind !== 'Service' && kind !== 'Namespace') || !name) return undefined;
  if (kind === 'Namespace') {
    const message = `a policy holds in its own namespace ${quote(namespace)}, not in ${quote(name)}`;
    return name === namespace
      ? { key: '', ref: { group: '', kind, name }, fault: undefined }
      : { key: `${name}/`, ref: { group: '', kind, name }, fault: { reason: 'TargetNotFound', message } };
  }
  const key = keyOf(namespace, name);
  const ref = { group: '', kind, namespace, name };
  if (objects.service(key) !== undefined) return { key, ref, fault: undefined };
  return { key, ref, fault: { reason: 'TargetNotFound', message: `there is no Service ${quote(key)}${suggest(key)}` } };
}

interface ReadTracing {
  readonly telemetry: PolicyTelemetry;
  readonly invalid?: Fault;
  readonly unresolved?: Fault;
  /** What of the policy Weft does not do. */
  readonly ignored: readonly string[];
}

function readTracing(policy: XTelemetryPolicy, objects: ObjectView, defaultSampling: number, suggest: Suggest): ReadTracing {
  const tracing = fieldsOf(fieldsOf(policy.spec).tracing);
  const mode = tracing.mode ?? 'ImplementationDefault';
  if (mode === 'Disabled') return { telemetry: { ...UNCHANGED, otlpEndpoint: NO_COLLECTOR }, ignored: [] };
  if (mode === 'ImplementationDefault') return { telemetry: UNCHANGED, ignored: [] };
  const invalid = (message: string): ReadTracing => ({ telemetry: UNCHANGED, invalid: { reason: 'Invalid', message }, ignored: [] });
  if (mode !== 'Enabled')
    return invalid(`tracing.mode must be one of ${MODES.join(', ')}, not ${quote(mode)}${didYouMean(textOf(mode) ?? '', MODES)}`);
  const traceSampling = isAbsent(tracing.samplingRate) ? defaultSampling : shareOf(tracing.samplingRate);
  if (traceSampling === undefined) return invalid('tracing.samplingRate must be a numerator from 0 up to the denominator');
  const resolved = collectorOf(policy, tracing, objects, suggest);
  const attributes = literalsOf(tracing);
  return {
    telemetry: { traceSampling, otlpEndpoint: resolved.url, serviceName: textOf(tracing.serviceName) ?? '', attributes },
    ...(resolved.fault !== undefined && { unresolved: resolved.fault }),
    ignored: ignoredOf(tracing),
  };
}

function shareOf(fraction: unknown): number | undefined {
  const { numerator, denominator: given } = fieldsOf(fraction as { numerator?: number; denominator?: number });
  const denominator = isAbsent(given) ? 100 : given;
  if (!isInteger(denominator, 1, Number.MAX_SAFE_INTEGER) || !isInteger(numerator, 0, denominator)) return undefined;
  return numerator / denominator;
}

function collectorOf(
  policy: XTelemetryPolicy,
  tracing: Partial<PolicyTracing>,
  objects: ObjectView,
  suggest: Suggest,
): { url: string; fault?: Fault } {
  const own = namespaceOf(policy);
  const { backendRef } = fieldsOf(tracing.provider);
  const fault = (reason: string, message: string) => ({ url: '', fault: { reason, message: `tracing.provider.backendRef: ${message}` } });
  const key = backendServiceOf(backendRef, own);
  if (key === undefined) return fault('InvalidKind', 'only a Service can be the collector');
  const [namespace, name] = splitKey(key);
  // Before anything is said about the object: whether it exists is its namespace's secret then.
  if (namespace !== own && !isGranted(objects, { group: EXPERIMENTAL_GROUP, kind: 'XTelemetryPolicy', namespace: own }, namespace, name))
    return fault('RefNotPermitted', `no ReferenceGrant in namespace ${quote(namespace)} allows XTelemetryPolicies of ${quote(own)}`);
  const service = objects.service(key);
  if (service === undefined) return fault('BackendNotFound', `there is no Service ${quote(key)}${suggest(key)}`);
  // It would lend the names within the cluster to any address.
  if (frontendOf(service) === 'externalName') return fault('InvalidKind', `Service ${quote(key)} is of type ExternalName`);
  const port = portOf(fieldsOf(backendRef).port) ?? OTLP_HTTP_PORT;
  const ports = meshPorts(service);
  if (!ports.some((one) => one.port === port))
    return fault('BackendNotFound', `Service ${quote(key)} has no port ${port}: it has ${listPorts(ports)}`);
  return { url: `http://${name}.${namespace}.svc:${port}` };
}

function literalsOf({ attributes }: Partial<PolicyTracing>): Record<string, string> {
  const literals = entriesOf(attributes).flatMap((attribute): [string, string][] => {
    const { name, sourceType, literalValue } = fieldsOf(attribute);
    const [key, value] = [textOf(name), textOf(literalValue)];
    return sourceType === 'Literal' && key && value !== undefined ? [[key, value]] : [];
  });
  return Object.fromEntries(literals.slice(0, MOST_ATTRIBUTES));
}

function ignoredOf({ provider, parentBasedSampling, spanName, attributes }: Partial<PolicyTracing>): string[] {
  const { mode, samplingRate } = fieldsOf(parentBasedSampling);
  const others = entriesOf(attributes).filter((attribute) => fieldsOf(attribute).sourceType !== 'Literal');
  const partial = !isAbsent(samplingRate) && shareOf(samplingRate) !== 1;
  return [
    ...(entriesOf(fieldsOf(provider).headers).length > 0 ? ['tracing.provider.headers'] : []),
    // Weft's own way is to follow the caller's decision.
    ...(mode === 'Disabled' || partial ? ['tracing.parentBasedSampling'] : []),
    ...(isAbsent(spanName) ? [] : ['tracing.spanName']),
    ...others.map((attribute) => `the attribute ${quote(fieldsOf(attribute).name)}, which is not Literal`),
    ...(entriesOf(attributes).length - others.length > MOST_ATTRIBUTES ? [`all but ${MOST_ATTRIBUTES} attributes`] : []),
  ];
}

function conditionsOf({ metadata }: XTelemetryPolicy, { unresolved, ignored }: ReadTracing, refusal: Fault | undefined): Condition[] {
  const generation = metadata?.generation;
  const observedGeneration = isInteger(generation, 0, Number.MAX_SAFE_INTEGER) ? generation : 0;
  const condition = (type: string, fault: Fault | undefined, reason: string, message: string): Condition => ({
    type,
    status: fault === undefined ? 'True' : 'False',
    reason: fault?.reason ?? reason,
    message: sentence(fault?.message ?? message, LONGEST_MESSAGE),
    observedGeneration,
  });
  const force = unresolved === undefined ? 'in force' : 'not in force while its collector is not known';
  const notes = ignored.length === 0 ? '' : `; Weft does not do, and ignores: ${ignored.join(', ')}`;
  return [
    condition('Accepted', refusal, 'Accepted', `${force}${notes}`),
    condition('ResolvedRefs', unresolved, 'ResolvedRefs', 'all references are known'),
  ];
}
