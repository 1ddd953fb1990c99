// By what settings of the installation a pod was injected, as one short text: pods carry it, and `weft check` compares.
// Pure.
import { createHash } from 'node:crypto';
import type { InjectionSettings } from './containers.ts';

/** Of the digest, in hexadecimal: enough to tell settings apart, short enough to read. */
const DIGITS = 16;

/**
 * The hash of what an installation injects, whatever the order of its fields. The version does not count, because the
 * image's name has it; neither do the roots, which change by themselves and reach running pods.
 */
export function settingsHash({ version: _version, trustRoots: _roots, ...settings }: InjectionSettings): string {
  return createHash('sha256').update(JSON.stringify(settings, sorted)).digest('hex').slice(0, DIGITS);
}

function sorted(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
