// Renders with the real Helm: the measure of our own renderer.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { ChartObject } from '#chart/render.ts';
import { yamlOf } from '#chart/template/functions.ts';
import type { InstallOptions } from '#cli/installation/objects.ts';

export const CHART_DIRECTORY = path.resolve(import.meta.dirname, '../../manifests/helm/weft');
/** Helm's own default is years old. */
const KUBERNETES_VERSION = '1.34.0';

/** What `helm template` makes of the chart. @param helm the program */
export function renderedByHelm(helm: string, { ha, files, set }: InstallOptions): ChartObject[] {
  return inTemporary((directory) => {
    const values = files.map(({ text }, i) => {
      const file = path.join(directory, `${i}.yaml`);
      writeFileSync(file, text);
      return file;
    });
    // Helm lays all files below all sets; `weft install` has this below both, so it is a file here.
    const own = path.join(directory, 'own.yaml');
    writeFileSync(own, 'namespace: { create: true }\n');
    const layers = [own, ...(ha ? [path.join(CHART_DIRECTORY, 'values-ha.yaml')] : []), ...values];
    const words = [...layers.map((file) => `--values=${file}`), ...set.map((one) => `--set=${one}`)];
    const chart = ['template', 'weft', CHART_DIRECTORY, '--namespace=weft-system', `--kube-version=${KUBERNETES_VERSION}`];
    const text = execFileSync(helm, [...chart, ...words], { encoding: 'utf8' });
    return parseAllDocuments(text, { version: '1.1' })
      .map((document) => document.toJS() as ChartObject | null)
      .filter((object) => object !== null);
  });
}

/** What Go's YAML parser, the one in Helm and kubectl, reads in our YAML. */
export function readByGo(helm: string, manifests: readonly ChartObject[]): unknown {
  return inTemporary((directory) => {
    mkdirSync(path.join(directory, 'templates'));
    writeFileSync(path.join(directory, 'Chart.yaml'), 'apiVersion: v2\nname: reader\nversion: 0.0.1\n');
    writeFileSync(path.join(directory, 'values.yaml'), yamlOf({ manifests }));
    writeFileSync(path.join(directory, 'templates/all.yaml'), 'all: {{ toJson .Values.manifests }}\n');
    const text = execFileSync(helm, ['template', 'reader', directory], { encoding: 'utf8' });
    return JSON.parse(text.slice(text.indexOf('all: ') + 'all: '.length));
  });
}

function inTemporary<T>(use: (directory: string) => T): T {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-helm-'));
  try {
    return use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
