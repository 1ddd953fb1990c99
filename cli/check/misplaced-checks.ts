// Labels and annotations of Weft that do nothing where they are written: a label among the annotations, an annotation
// among the labels, a label on a pod's owner instead of its template, a misspelt name. Pure.
import { ANNOTATION_PREFIX, INJECTION_ANNOTATIONS, LIVE_ANNOTATIONS } from '#core/contract/annotations.ts';
import { LABEL_VALUES } from '#core/contract/labels.ts';
import { ANNOTATION_STATUS } from '#core/contract/names.ts';
import { nearest } from '#core/text/nearest.ts';
import type { ObjectMeta } from '#kube/object.ts';
import { isLive } from '../cluster/pods.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts, PodOwner } from './facts.ts';

const checks = checksOf('Namespaces');
const LABELS = Object.keys(LABEL_VALUES);
const ANNOTATIONS = [...Object.values(LIVE_ANNOTATIONS), ...Object.values(INJECTION_ANNOTATIONS)].map(({ key }): string => key);
/** Written by injection, or reserved with a warning of its own. */
const OTHERS = [ANNOTATION_STATUS, `${ANNOTATION_PREFIX}concurrency`];
const DOMAIN = ANNOTATION_PREFIX.slice(0, -1);

interface Mistake {
  readonly text: string;
  readonly hint: string;
}

/** Each of Weft's words that has no effect where it stands, with its object, its field and the remedy. */
export function misplacedChecks({ namespaces, pods, workloads }: Facts): Check[] {
  const made: Mistake[] = [];
  for (const { metadata } of namespaces.ok ? namespaces.value : []) {
    made.push(...mistakesOf(metadata, `namespace ${metadata?.name}`, `namespace ${metadata?.name}`));
  }
  // A pod of a workload has its words from the template, where they are corrected: told once, there.
  for (const { metadata } of pods.ok ? pods.value.filter(isLive) : []) {
    if (workloads.ok && metadata?.ownerReferences?.some(({ kind }) => OWNERS.has(kind ?? ''))) continue;
    made.push(...mistakesOf(metadata, `pod ${metadata?.namespace}/${metadata?.name}`, undefined));
  }
  for (const workload of workloads.ok ? workloads.value : []) made.push(...workloadMistakes(workload));
  if (made.length === 0) return [];
  return [
    checks.warning('misplaced', `${counted(made.length, 'word')} of Weft where it has no effect`, {
      details: made.map(({ text }) => text),
      hint: made[0].hint,
    }),
  ];
}

const OWNERS = new Set(['ReplicaSet', 'StatefulSet', 'DaemonSet']);

function workloadMistakes({ kind, metadata, template }: PodOwner): Mistake[] {
  const who = `${kind.toLowerCase()} ${metadata?.namespace}/${metadata?.name}`;
  const own = [...LABELS, ...ANNOTATIONS].flatMap((key) => {
    const value = metadata?.labels?.[key] ?? metadata?.annotations?.[key];
    if (value === undefined || template?.labels?.[key] !== undefined || template?.annotations?.[key] !== undefined) return [];
    const field = LABELS.includes(key) ? 'labels' : 'annotations';
    return [
      {
        text: `${who}: metadata: ${key} is read on pods and namespaces only`,
        hint: `write it into spec.template.metadata.${field} of ${who}: ${key}: ${JSON.stringify(value)}`,
      },
    ];
  });
  return [...own, ...mistakesOf(template, `${who}: spec.template`, undefined)];
}

/** @param target what `kubectl label` takes; undefined: it is corrected in a template or a file */
function mistakesOf(metadata: Pick<ObjectMeta, 'labels' | 'annotations'> | undefined, who: string, target: string | undefined): Mistake[] {
  const correct = (field: 'labels' | 'annotations', from: string, key: string, value: string): string => {
    const verb = field === 'labels' ? 'label' : 'annotate';
    return target === undefined
      ? `write it into metadata.${field} of the pod or its template, instead of ${from}: ${key}: ${JSON.stringify(value)}`
      : `kubectl ${verb} --overwrite ${target} ${key}=${value}`;
  };
  return (['labels', 'annotations'] as const).flatMap((field) =>
    Object.entries(metadata?.[field] ?? {}).flatMap(([key, value]) => {
      const right = rightPlace(key);
      if (right === undefined || (right.key === key && right.field === field)) return [];
      const word = field === 'labels' ? 'label' : 'annotation';
      const at = `${who}: metadata.${field}: ${key}`;
      if (right.key === '') {
        return [{ text: `${at} is no ${word} of Weft`, hint: `remove ${key}; docs/reference/annotations.md has what there is` }];
      }
      const text =
        right.key === key
          ? `${at} does nothing: it is ${right.field === 'labels' ? 'a label, not an annotation' : 'an annotation, not a label'}`
          : `${at} is no ${word} of Weft; did you mean the ${right.field === 'labels' ? 'label' : 'annotation'} "${right.key}"?`;
      return [{ text, hint: correct(right.field, key, right.key, value) }];
    }),
  );
}

/** Where a key belongs; key '': it seems meant for Weft, and nothing is near. Undefined: it is none of our business. */
function rightPlace(key: string): { readonly key: string; readonly field: 'labels' | 'annotations' } | undefined {
  if (LABELS.includes(key)) return { key, field: 'labels' };
  if (ANNOTATIONS.includes(key)) return { key, field: 'annotations' };
  if (OTHERS.includes(key)) return undefined;
  const [domain, name] = key.split('/', 2);
  if (name === undefined || (!domain.startsWith('weft.') && nearest(domain, [DOMAIN]) === undefined)) return undefined;
  const found = nearest(`${ANNOTATION_PREFIX}${name}`, [...LABELS, ...ANNOTATIONS]);
  const exact = [...LABELS, ...ANNOTATIONS].find((one) => one === `${ANNOTATION_PREFIX}${name}`);
  const meant = exact ?? found;
  if (meant === undefined) return domain === DOMAIN ? { key: '', field: 'labels' } : undefined;
  return { key: meant, field: LABELS.includes(meant) ? 'labels' : 'annotations' };
}
