// Kubernetes quantities: `100m`, `64Mi`, `0.5`, `1e3` (apimachinery's resource.Quantity).

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * The number that a quantity stands for; null: it is none, or negative. Exact enough to compare a request with a limit.
 */
export function parseQuantity(text: string): number | null {
  const match = /^\+?(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:([eE][+-]?\d{1,2})|([a-zA-Z]{0,2}))$/.exec(text);
  if (match === null) return null;
  const [, digits, exponent, suffix = ''] = match;
  if (exponent !== undefined) return Number(`${digits}${exponent}`);
  return Object.hasOwn(SUFFIXES, suffix) ? Number(digits) * SUFFIXES[suffix] : null;
}
