// The version of all programs: package.json's, which the bundles carry along.
import manifest from '../../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;
