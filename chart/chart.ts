// Weft's Helm chart, for `weft install` on a machine without Helm. manifests/helm/weft is the one source of manifests:
// people who use Helm and people who use `weft install` must get the same rights and the same pods. Helm is a Go
// program of 60 MB, and npm has no implementation of it, so this room renders the part of Helm that the chart uses, and
// refuses everything else with file and line (docs/decisions/0010-one-source-of-manifests.md):
//
//   values.ts  defaults, files and --set, laid on each other as Helm does
//   schema.ts  the values checked, with the nearest right key
//   template/  the subset of Go's templates, and its functions
//   render.ts  from chart and values to the objects, in order, and to their YAML
//
// test/manifests/ compares the result with Helm's own, object by object. This file reads the chart: from the
// repository, or from the bundle, into which scripts/build.mjs puts it.
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
