// What becomes of all calls with the same headers: found once per template and remembered on it until the configuration
// changes.
import type { MethodRecord } from '../balance/method-record.ts';
import { type Field, fieldOf, makeField } from '../http/field.ts';
import { fieldNames, VARYING_PATH } from '../http/field-name.ts';
import type { HeaderBlock, Template } from '../http/header-block.ts';
import { type HeaderSource, newHeaderSource } from '../http/header-source.ts';
import { applyEdits } from '../route/edit.ts';
import { routeLabel, ruleLabel } from '../route/labels.ts';
import { findRule } from '../route/match.ts';
import type { BackendRecord, CompiledPort, HeaderEdit, MirrorRecord, RuleRecord } from '../route/records.ts';
import { changedPath } from '../route/redirect.ts';
import type { CallDecision, CallSeries, SeriesSource } from './series.ts';
import type { Upstream, Upstreams } from './upstreams.ts';

/** What becomes of a call that falls to one backend. */
export interface Variant {
  readonly backend: BackendRecord;
  readonly upstream: Upstream;
  /** What the backend's endpoints show of the call's method. */
  readonly method: MethodRecord;
  /** The request's stable fields as they go out. */
  readonly source: HeaderSource;
  /** The edits touch a field that varies: the request is edited anew each time. */
  readonly editsVarying: boolean;
  /** A filter may answer calls in the endpoint's place. */
  readonly answers: boolean;
  /** The rule's mirrors and the backend's own. */
  readonly mirrors: readonly PlannedMirror[];
  /** Counters over plaintext and over mTLS; made at first use. */
  plain: CallSeries | null;
  mtls: CallSeries | null;
}

export interface PlannedMirror {
  readonly mirror: MirrorRecord;
  readonly upstream: Upstream;
}

export interface CallPlan extends CallDecision {
  /** By index of rule.backends. */
  readonly variants: readonly Variant[];
  /** Counters of calls that reach no backend; made at first use. */
  failed: CallSeries | null;
}

/** Plans of one template that differ by a header that varies: more of them are made anew each time. */
const MOST_PLANS_OF_TEMPLATE = 16;

/**
 * The plan of a request; it is remembered for each template and configuration. Where a header that varies has a part
 * in the match, the rule is looked for in each request, and its plan is remembered.
 */
export function planFor(block: HeaderBlock, port: CompiledPort, upstreams: Upstreams): CallPlan {
  const { template } = block;
  if (block.varying.length === 0 || !variesInWhatMatters(block, port)) {
    const remembered = template.plan as CallPlan | null;
    if (remembered !== null && remembered.port === port) return remembered;
    return (template.plan = makePlan(block, port, ruleFor(block, port), upstreams));
  }
  const rule = ruleFor(block, port);
  if (rule?.backends.some(({ requestEdits }) => requestEdits !== null && touchesVarying(block.varying, requestEdits)))
    return makePlan(block, port, rule, upstreams);
  // A method of gRPC is judged and counted by its name, though it is not known to come again.
  if (template.grpc && block.hasVaryingPath) return makePlan(block, port, rule, upstreams);
  const plans = (template.plansByRule ??= []) as CallPlan[];
  for (let i = 0; i < plans.length; i++) if (plans[i].rule === rule && plans[i].port === port) return plans[i];
  const plan = makePlan(block, port, rule, upstreams);
  if (plans.length === MOST_PLANS_OF_TEMPLATE || (plans.length > 0 && plans[0].port !== port)) plans.length = 0;
  plans.push(plan);
  return plan;
}

function ruleFor(block: HeaderBlock, port: CompiledPort): RuleRecord | null {
  return port.table === null ? port.fallback : findRule(port.table, block.list());
}

function makePlan(block: HeaderBlock, port: CompiledPort, rule: RuleRecord | null, upstreams: Upstreams): CallPlan {
  const { template } = block;
  const variants: Variant[] = [];
  // A path of HTTP that varies stands for no method.
  const method = block.hasVaryingPath && !template.grpc ? '' : methodOf(block);
  for (const backend of rule?.backends ?? []) {
    const { requestEdits: edits, rewrite, redirect, cors } = backend;
    const upstream = upstreams.get(backend.ref);
    variants.push({
      backend,
      upstream,
      method: upstream.set.methods.of(recordOf(template, method, rule)),
      source: edits === null && rewrite === null ? template.source : editedSource(template.source, edited(template.source.list, backend)),
      editsVarying: (edits !== null && touchesVarying(block.varying, edits)) || (block.hasVaryingPath && (rewrite?.path ?? null) !== null),
      answers: redirect !== null || cors !== null,
      mirrors: [...rule!.mirrors, ...backend.mirrors].map((mirror) => ({ mirror, upstream: upstreams.get(mirror.backend) })),
      plain: null,
      mtls: null,
    });
  }
  return {
    port,
    rule,
    variants,
    method,
    grpc: template.grpc,
    failed: null,
  };
}

/** package.Service/Method, or the path. */
export function methodOf({ path }: HeaderBlock): string {
  return path.startsWith('/') ? path.slice(1) : path;
}

/** The name under which endpoints are judged: paths of HTTP may be any number, and say little of how long one takes. */
function recordOf({ format, method: verb }: Template, method: string, rule: RuleRecord | null): string {
  return format === 'other' ? `${verb} ${routeLabel(rule)} ${ruleLabel(rule)}` : method;
}

/** Counters of a variant's calls. */
export function seriesOf(plan: CallPlan, variant: Variant | null, mtls: boolean, stats: SeriesSource): CallSeries {
  const known = variant === null ? plan.failed : mtls ? variant.mtls : variant.plain;
  if (known !== null && !known.expired) return known;
  const series = stats.series(plan, variant === null ? null : variant.backend, mtls);
  if (variant === null) plan.failed = series;
  else if (mtls) variant.mtls = series;
  else variant.plain = series;
  return series;
}

function editedSource({ never, spelled }: HeaderSource, list: string[]): HeaderSource {
  return newHeaderSource(list, never, spelled);
}

/** A response's stable fields after the backend's edits; remembered on the response's template. */
export function responseSource(template: Template, edits: readonly HeaderEdit[] | null): HeaderSource {
  if (edits === null) return template.source;
  const known = (template.edited ??= []);
  for (const entry of known) if (entry.edits === edits) return entry.source;
  const source = editedSource(template.source, applyEdits(template.source.list, edits));
  if (known.length < 16) known.push({ edits, source });
  return source;
}

/** A request's fields as they go out. */
export interface EditedRequest {
  readonly source: HeaderSource;
  readonly varying: readonly Field[];
}

/** The request after the edits of its rule and backend. */
export function editedRequest(block: HeaderBlock, { editsVarying, backend, source }: Variant): EditedRequest {
  return editsVarying ? splitAgain(block, edited(block.list(), backend)) : { source, varying: block.varying };
}

/** A request's list as a backend gets it. */
function edited(list: readonly string[], { requestEdits, rewrite }: BackendRecord): string[] {
  const out = requestEdits === null ? list.slice() : applyEdits(list, requestEdits);
  if (rewrite === null) return out;
  const { hostname, path } = rewrite;
  for (let i = 0; i < out.length; i += 2) {
    if (out[i] === ':path') out[i + 1] = changedPath(path, out[i + 1]);
    else if (hostname !== '' && (out[i] === ':authority' || out[i] === 'host')) out[i + 1] = hostname;
  }
  return out;
}

/** A whole header list edited at once, for edits that name varying fields. */
export function editWhole(block: HeaderBlock, edits: readonly HeaderEdit[]): { source: HeaderSource; varying: Field[] } {
  return splitAgain(block, applyEdits(block.list(), edits));
}

/** An edited list as a source and varying fields, so that these stay out of the encoder's table. */
function splitAgain(block: HeaderBlock, list: readonly string[]): { source: HeaderSource; varying: Field[] } {
  const stable: string[] = [];
  const varying: Field[] = [];
  for (let i = 0; i < list.length; i += 2) {
    const [name, value] = [list[i], list[i + 1]];
    // It precedes the fields that are regular, wherever it stands in the list.
    if (name === VARYING_PATH.text && block.hasVaryingPath) {
      varying.unshift(fieldOf(VARYING_PATH, value, block.varying[0].never, 0));
      continue;
    }
    if (fieldNames.isVarying(name)) varying.push(makeField(name, value, cameAsNever(block.varying, name), 0));
    else stable.push(name, value);
  }
  return { source: editedSource(block.template.source, stable), varying };
}

/** Whether an edit names one of the fields that vary. */
export function touchesVarying(varying: readonly Field[], edits: readonly HeaderEdit[]): boolean {
  for (let i = 0; i < varying.length; i++) {
    const { name } = varying[i];
    for (let k = 0; k < edits.length; k++) if (edits[k].name === name) return true;
  }
  return false;
}

/** A secret that came as "never indexed" leaves so (RFC 7541 §6.2.3), edited or not. */
function cameAsNever(varying: readonly Field[], name: string): boolean {
  return varying.some((field) => field.never && field.name === name);
}

function variesInWhatMatters({ template, varying }: HeaderBlock, port: CompiledPort): boolean {
  if (varying[0].of === VARYING_PATH && (port.table !== null || template.grpc)) return true;
  for (let i = 0; i < varying.length; i++) if (port.headersThatMatter.has(varying[i].name)) return true;
  return false;
}
