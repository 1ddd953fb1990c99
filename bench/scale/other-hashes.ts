// Loaded before the control plane's program by the scale test: every version is another, as after an upgrade that
// translates everything otherwise.
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const original = crypto.createHash;
crypto.createHash = (...args: Parameters<typeof original>) => original(...args).update('another version');
syncBuiltinESMExports();
