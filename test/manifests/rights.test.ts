// docs/reference/rbac.md tells each right that the chart gives, and no other.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { install } from '#cli/installation/objects.ts';

const PAGE = path.resolve(import.meta.dirname, '../../docs/reference/rbac.md');

interface Rule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** `all create tokenreviews`, one line for each verb of each resource. */
function rightsOf(where: string, { resources, verbs, resourceNames = [''] }: Rule): string[] {
  return resources.flatMap((resource) =>
    verbs.flatMap((verb) => resourceNames.map((name) => `${where} ${verb} ${resource} ${name}`.trim())),
  );
}

function told(section: string): string[] {
  const rows = section.matchAll(/^\| ([^|]+) \| ([^|]+) \| (all|system) \|/gm);
  return [...rows].flatMap(([, verbs, objects, where]) => {
    const names = [...objects.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
    const resources = objects.replace(/`[^`]+`/g, '').split(',');
    return rightsOf(where, {
      resources: resources.map((one) => one.trim()),
      verbs: verbs.split(',').map((one) => one.trim()),
      ...(names.length > 0 && { resourceNames: names }),
    });
  });
}

describe('docs/reference/rbac.md', () => {
  const sections = readFileSync(PAGE, 'utf8').split(/^## /m);
  const all = install({ ha: true, files: [], set: ['nodeAgent.enabled=true'] });

  for (const account of ['weft-control-plane', 'weft-injector', 'weft-node-agent', 'weft-reader']) {
    it(`says what ${account} may do`, () => {
      const given = all
        .filter(({ kind, metadata }) => (kind === 'ClusterRole' || kind === 'Role') && metadata.name === account)
        .flatMap(({ kind, rules }) => (rules as Rule[]).flatMap((rule) => rightsOf(kind === 'Role' ? 'system' : 'all', rule)));
      const section = sections.find((one) => one.startsWith(`${account}\n`)) ?? '';
      expect(given.length).to.be.greaterThan(3);
      expect(told(section).sort()).to.deep.equal(given.sort());
    });
  }
});
