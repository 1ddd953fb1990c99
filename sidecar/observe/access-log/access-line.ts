// The access log's lines as JSON text. What many calls share is made once and remembered, so that a line costs a few
// joins.
import { GRPC_CODES } from '#core/contract/grpc-codes.ts';
import type { EndpointState } from '../../balance/endpoint-state.ts';
import type { EndedCall } from '../../forward/ended-call.ts';
import type { CallOrigin } from '../../forward/outcome.ts';
import { portLabel, routeLabel, ruleLabel } from '../../route/labels.ts';
import { utf8Of } from '../../route/latin1.ts';
import type { ServicePortRef } from '../../route/records.ts';

const USER_AGENT = 'user-agent';
/** Longer values are cut: clients choose paths and user agents. */
const LONGEST_VALUE = 512;

export type LineValue = string | number | boolean | readonly string[] | undefined;

/**
 * A value as JSON of one line, bounded, with nothing in it that drives a terminal.
 * @param text octets of a peer: see utf8Of
 */
export function jsonText(text: string): string {
  const json = JSON.stringify(text.length <= LONGEST_VALUE ? text : `${text.slice(0, LONGEST_VALUE)}…`);
  return json.replace(/[\u007f-\u009f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Members of a JSON object, each with a comma in front; undefined and '' are left out. */
export function members(values: Readonly<Record<string, LineValue>>): string {
  let text = '';
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined || value === '') continue;
    const json =
      typeof value === 'string' ? jsonText(value) : typeof value === 'object' ? `[${value.map(jsonText).join(',')}]` : `${value}`;
    text += `,"${key}":${json}`;
  }
  return text;
}

/** "namespace/name:port"; traffic that is no Service's has its name only. */
export function serviceName(ref: ServicePortRef): string {
  return ref.namespace === '' ? ref.name : portLabel(ref);
}

/** What all calls of a plan that fall to one backend have in common. */
export interface SharedFields {
  readonly service: string | undefined;
  readonly route: string | undefined;
  readonly rule: string | undefined;
  readonly method: string;
  readonly http_method: string | undefined;
  readonly backend: string | undefined;
  readonly protocol: 'grpc' | 'http';
  readonly authority: string;
  readonly user_agent: string | undefined;
}

/** Finds the shared fields in a call. A path is without its query, which may hold secrets. */
export function sharedFields({ block, plan, variant, origin }: EndedCall): SharedFields {
  const { template } = block;
  const { grpc } = template;
  const { path } = block;
  const query = path.indexOf('?');
  return {
    service: plan === null ? undefined : serviceName(plan.port.service),
    route: routeLabel(plan?.rule) || undefined,
    rule: ruleLabel(plan?.rule) || undefined,
    method: shown(path.slice(path.startsWith('/') ? 1 : 0, query === -1 ? undefined : query)),
    http_method: grpc ? undefined : shown(template.method),
    backend: variant === null || origin.direction === 'inbound' ? undefined : serviceName(variant.backend.ref),
    protocol: grpc ? 'grpc' : 'http',
    authority: shown(template.authority),
    user_agent: shownValue(block.value(USER_AGENT)),
  };
}

function shownValue(octets: string | undefined): string | undefined {
  return octets === undefined ? undefined : shown(octets);
}

/** Octets as text; cut first, so that a long value costs no more than a short one. */
function shown(octets: string): string {
  return octets.length <= LONGEST_VALUE ? utf8Of(octets) : `${utf8Of(octets.slice(0, LONGEST_VALUE - 1))}…`;
}

/** Remembers the JSON of what calls share. */
export class SharedText {
  private readonly byDecision = new WeakMap<object, { template: object; fields: SharedFields; text: string }>();
  private readonly byEndpoint = new WeakMap<EndpointState, string>();
  private readonly byOrigin = new WeakMap<CallOrigin, { caller: string; text: string }>();
  private second = -1;
  private secondText = '';

  /** Fields and text of the call's plan and backend. */
  ofCall(call: EndedCall): { fields: SharedFields; text: string } {
    const { template } = call.block;
    // A user agent or a path of its own per call is no shared field.
    const isShared = !call.block.hasVaryingPath && call.block.varyingValue(USER_AGENT) === undefined;
    const decision = isShared ? (call.variant ?? call.plan) : null;
    const known = decision === null ? undefined : this.byDecision.get(decision);
    if (known !== undefined && known.template === template) return known;
    const fields = sharedFields(call);
    const made = { template, fields, text: members({ ...fields }) };
    if (decision !== null) this.byDecision.set(decision, made);
    return made;
  }

  ofEndpoint(endpoint: EndpointState): string {
    let text = this.byEndpoint.get(endpoint);
    if (text === undefined) {
      const { key, pod, identity } = endpoint;
      this.byEndpoint.set(endpoint, (text = members({ pod, endpoint: key, peer_identity: identity })));
    }
    return text;
  }

  /** The beginning of a line. @param wallMs Unix ms */
  ofOrigin(origin: CallOrigin, wallMs: number): string {
    const caller = origin.caller();
    let known = this.byOrigin.get(origin);
    if (known === undefined || known.caller !== caller) {
      const { direction } = origin;
      known = { caller, text: `Z","level":"info","msg":"access","component":"sidecar"${members({ direction, caller })}` };
      this.byOrigin.set(origin, known);
    }
    return `{"time":"${this.instant(wallMs)}${known.text}`;
  }

  /** RFC 3339 with milliseconds, without its Z. */
  private instant(wallMs: number): string {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.second) {
      this.second = second;
      this.secondText = new Date(second * 1000).toISOString().slice(0, -4);
    }
    const ms = Math.floor(wallMs) - second * 1000;
    return `${this.secondText}${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}`;
  }
}

/** A duration with microseconds. */
export function milliseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** The name of a status; a number that is none counts as UNKNOWN, as in metrics. */
export function codeOf(grpcStatus: number): string {
  return GRPC_CODES[grpcStatus] ?? 'Unknown';
}
