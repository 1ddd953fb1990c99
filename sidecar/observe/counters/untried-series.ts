// Stands for the series of a method that no endpoint has answered yet: a client cannot make series by making up
// methods.
import type { CallOutcome } from '../../forward/outcome.ts';
import type { CallSeries } from '../../forward/series.ts';
import type { RequestSeries } from './request-series.ts';

const UNIMPLEMENTED = 12;

/** Counts as method "other" until an endpoint answers with anything but UNIMPLEMENTED: then there is such a method. */
export class UntriedSeries implements CallSeries {
  private readonly other: RequestSeries;
  private readonly answered: () => CallSeries;
  private over = false;

  /**
   * @param other the series of method "other"
   * @param answered there is such a method: the series that counts it from now on
   */
  constructor(other: RequestSeries, answered: () => CallSeries) {
    this.other = other;
    this.answered = answered;
  }

  get inFlight(): number {
    return this.other.inFlight;
  }

  set inFlight(calls: number) {
    this.other.inFlight = calls;
  }

  get expired(): boolean {
    return this.over || this.other.expired;
  }

  ended(call: CallOutcome): void {
    this.over ||= answeredByEndpoint(call);
    (this.over ? this.answered() : this.other).ended(call);
  }
}

function answeredByEndpoint({ httpStatus, responseBytes, error, cancelled, grpcStatus }: CallOutcome): boolean {
  // Streams are seldom ended by the endpoint: messages show as well that there is such a method.
  if (httpStatus === 200 && responseBytes > 0) return grpcStatus !== UNIMPLEMENTED;
  return httpStatus !== 0 && error === null && !cancelled && grpcStatus !== UNIMPLEMENTED;
}
