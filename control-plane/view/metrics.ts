// The control plane's metrics as Prometheus text (exposition format 0.0.4).
import type { ControlPlane } from '../assemble.ts';

/** One metric with its samples. */
export interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly samples: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

/**
 * The text of GET /metrics.
 * @param controlPlane null: it does not serve yet
 * @param more of what stands around it
 */
export function metricsText(controlPlane: ControlPlane | null, more: readonly Family[] = []): string {
  return [...(controlPlane === null ? [] : familiesOf(controlPlane)), ...more].map(formatFamily).join('');
}

function familiesOf({ publisher, issued, authorityNotAfterMs }: ControlPlane): Family[] {
  const { counters, catalogue } = publisher;
  const sidecars = publisher.sidecars();
  const sent = sidecars.reduce((sum, sidecar) => sum + sidecar.responses, counters.responses);
  return [
    gauge('weft_control_plane_sidecars', 'Sidecars that are connected.', sidecars.length),
    gauge('weft_control_plane_services', 'Services that are known.', [...catalogue.keys()].length),
    gauge(
      'weft_control_plane_translation_failures',
      'Services whose last good version stays because of a defect.',
      catalogue.failures().length,
    ),
    gauge(
      'weft_control_plane_rejected_resources',
      'Resources whose latest version a sidecar refused, summed over sidecars.',
      sidecars.reduce((sum, sidecar) => sum + sidecar.rejected().length, 0),
    ),
    counter('weft_control_plane_connects_total', 'Configuration streams begun.', counters.connects),
    counter('weft_control_plane_rounds_total', 'Rounds of changes that went out.', counters.rounds),
    counter('weft_control_plane_responses_total', 'Responses sent on configuration streams.', sent),
    counter('weft_control_plane_rejections_total', 'Resources refused by sidecars.', counters.rejections),
    {
      name: 'weft_control_plane_certificate_requests_total',
      type: 'counter',
      help: 'Certificates asked for, by outcome.',
      samples: Object.entries(issued).map(([outcome, value]) => ({ labels: { outcome }, value })),
    },
    gauge(
      'weft_control_plane_authority_expiry_timestamp_seconds',
      "End of the authority's own certificate, Unix time.",
      authorityNotAfterMs / 1000,
    ),
  ];
}

/** A gauge with one sample. */
export function gauge(name: string, help: string, value: number): Family {
  return { name, type: 'gauge', help, samples: [{ value }] };
}

function counter(name: string, help: string, value: number): Family {
  return { name, type: 'counter', help, samples: [{ value }] };
}

function formatFamily({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ labels = {}, value }) => {
    const pairs = Object.entries(labels).map(
      ([label, text]) => `${label}="${text.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`,
    );
    return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}
