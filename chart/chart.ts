// The chart's files: from the repository, or from the bundle, into which scripts/build.mjs puts them.
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { parse } from 'yaml';
import { KUBECTL_YAML } from '#objects/yaml/schema.ts';

declare const WEFT_CHART_FILES: Readonly<Record<string, string>> | undefined;

export interface ChartManifest {
  readonly name: string;
  readonly version: string;
  readonly appVersion: string;
}

/** A chart as text. */
export interface Chart {
  readonly manifest: ChartManifest;
  /** Path within the chart → content, sorted by path; `templates/webhook.yaml`. */
  readonly files: ReadonlyMap<string, string>;
}

/** Weft's own chart. @throws when the program was taken out of both repository and bundle */
export function weftChart(): Chart {
  const files =
    typeof WEFT_CHART_FILES === 'undefined'
      ? readChart(join(import.meta.dirname, '../manifests/helm/weft'))
      : Object.entries(WEFT_CHART_FILES);
  return chartOf(files);
}

/** @param files path within the chart, content */
export function chartOf(files: readonly (readonly [path: string, content: string])[]): Chart {
  const sorted = new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { manifest: parse(sorted.get('Chart.yaml') ?? '', KUBECTL_YAML) as ChartManifest, files: sorted };
}

function readChart(directory: string): [string, string][] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [
        path
          .slice(directory.length + 1)
          .split(sep)
          .join('/'),
        readFileSync(path, 'utf8'),
      ];
    });
}
