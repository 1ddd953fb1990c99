// Prometheus text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats): one family at a time, values escaped.

export type Labels = Readonly<Record<string, string>>;

/** Label pairs as they stand between the braces; made once per series, for a page may have thousands of samples. */
export function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([label, text]) => `${label}="${escapeLabel(text)}"`)
    .join(',');
}

export class Exposition {
  private readonly lines: string[] = [];

  /** Begins a family; its samples follow. */
  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void {
    this.lines.push(`# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`, `# TYPE ${name} ${type}`);
  }

  /** @param labels from labelText(); '' for none */
  sample(name: string, labels: string, value: number): void {
    this.lines.push(labels === '' ? `${name} ${formatNumber(value)}` : `${name}{${labels}} ${formatNumber(value)}`);
  }

  toString(): string {
    return `${this.lines.join('\n')}\n`;
  }
}

function escapeLabel(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"');
}

function formatNumber(value: number): string {
  if (Number.isFinite(value)) return `${value}`;
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
