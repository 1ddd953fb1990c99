// What is wrong with a route, gathered while it is translated and turned into conditions at the end.

/** Standard reasons of Accepted=False and PartiallyInvalid. */
export type RuleReason = 'UnsupportedValue' | 'IncompatibleFilters';

/** Standard reasons of ResolvedRefs=False. */
export type ReferenceReason = 'InvalidKind' | 'BackendNotFound' | 'RefNotPermitted' | 'UnsupportedProtocol';

/** The rule cannot be served as it is written. */
export interface RuleFault {
  readonly reason: RuleReason;
  readonly message: string;
}

/** One backend or mirror leads nowhere; the rest of the rule stands. */
export interface ReferenceFault {
  readonly reason: ReferenceReason;
  readonly message: string;
}

/** Gathers faults; where they are is put before what they are: "backendRefs[1].filters[0]: …". */
export class Findings {
  readonly rule: RuleFault[] = [];
  readonly references: ReferenceFault[] = [];

  fault(where: string, message: string, reason: RuleReason = 'UnsupportedValue'): void {
    this.rule.push({ reason, message: where === '' ? message : `${where}: ${message}` });
  }

  reference(where: string, { reason, message }: ReferenceFault): void {
    this.references.push({ reason, message: `${where}: ${message}` });
  }

  /** For reading a list in its place; see listOf(). */
  at(where: string): (message: string) => void {
    return (message) => this.fault(where, message);
  }
}
