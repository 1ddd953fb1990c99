// Weft.
import type { Peer } from './peer.ts';
export const weft: Peer = {
  name: 'weft',
  scenarios: [],
  missing: () => '',
  version: () => '0',
  start: () => Promise.reject(new Error('x')),
};
