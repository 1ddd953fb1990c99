// Types of re2.cjs.
export function load(): typeof import('re2js');
