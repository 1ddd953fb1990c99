// The text by which pods say with what settings they were injected.
import { expect } from 'chai';
import { settingsHash } from '#injector/settings-hash.ts';
import { SETTINGS } from './golden-case.ts';

describe('the hash of the settings of injection', () => {
  it('is the same whatever the order of the fields, and whatever the roots and the version are', () => {
    const reversed = Object.fromEntries(Object.entries(SETTINGS).reverse()) as unknown as typeof SETTINGS;
    const resources = Object.fromEntries(Object.entries(SETTINGS.resources).reverse()) as unknown as typeof SETTINGS.resources;
    const other = { ...reversed, resources, trustRoots: 'OTHERS', version: '9.9.9' };
    expect(settingsHash(other))
      .to.equal(settingsHash(SETTINGS))
      .and.match(/^[0-9a-f]{16}$/);
  });

  it('is another one for each other value', () => {
    const changes = Object.entries(SETTINGS).filter(([key]) => !['version', 'trustRoots', 'resources'].includes(key));
    const hashes = changes.map(([key, value]) => settingsHash({ ...SETTINGS, [key]: typeof value === 'number' ? value + 1 : `${value}x` }));
    for (const key of Object.keys(SETTINGS.resources)) {
      hashes.push(settingsHash({ ...SETTINGS, resources: { ...SETTINGS.resources, [key]: '1' } }));
    }
    expect(new Set([settingsHash(SETTINGS), ...hashes]).size).to.equal(hashes.length + 1);
  });
});
