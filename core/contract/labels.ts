// The values of Weft's labels on namespaces and pods, and which of them a user likely meant by another.

import { nearest } from '../text/nearest.ts';
import { LABEL_INJECT, LABEL_MTLS } from './names.ts';

/** Label → what it can be. */
export const LABEL_VALUES: Readonly<Record<string, readonly string[]>> = {
  [LABEL_INJECT]: ['enabled', 'disabled'],
  [LABEL_MTLS]: ['permissive', 'strict'],
};

/** What people write that know other meshes, or think of a switch. */
const SWITCH: Readonly<Record<string, readonly string[]>> = {
  enabled: ['true', 'yes', 'on', '1', 'inject', 'injected', 'enable'],
  disabled: ['false', 'no', 'off', '0', 'none', 'skip', 'disable'],
};

/** Whether a value of this label means something. */
export function isLabelValue(label: string, value: unknown): boolean {
  return LABEL_VALUES[label].some((one) => one === value);
}

/** Which of the label's values was likely meant; undefined: none is near. */
export function meantLabelValue(label: string, value: string): string | undefined {
  const lower = value.toLowerCase();
  const values = LABEL_VALUES[label];
  return values.find((one) => one === lower || SWITCH[one]?.includes(lower)) ?? nearest(value, values);
}
