// Session affinity: how long a client's calls keep to one endpoint of a Service (pure).
import { fieldsOf, isInteger } from '#objects/fields.ts';
import { LONGEST_AFFINITY_SECONDS, type Service } from '#objects/service.ts';

/** What the API server fills in (ServiceSpec, sessionAffinityConfig.clientIP.timeoutSeconds): three hours. */
const DEFAULT_AFFINITY_SECONDS = 10_800;

/** Seconds; 0: the Service asks for none. A length that the API server would refuse counts as absent. */
export function affinitySecondsOf(service: Service): number {
  const { sessionAffinity, sessionAffinityConfig } = fieldsOf(service.spec);
  if (sessionAffinity !== 'ClientIP') return 0;
  const { timeoutSeconds } = fieldsOf(fieldsOf(sessionAffinityConfig).clientIP);
  return isInteger(timeoutSeconds, 1, LONGEST_AFFINITY_SECONDS) ? timeoutSeconds : DEFAULT_AFFINITY_SECONDS;
}
