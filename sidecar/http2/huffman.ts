// HPACK's Huffman code (RFC 7541 §5.2 and Appendix B): a nibble automaton, built at load from the code lengths,
// decodes. What we send is never Huffman-coded: that saves few bytes on a pod network and costs time on both ends.

/** Code length by symbol, 256 = EOS. The code is canonical: ordered by length, then by symbol. */
export const HUFFMAN_CODE_LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10,
  12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7,
  7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22,
  23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22,
  23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
  24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const EOS = 256;
const FLAG_EMIT = 1;
const FLAG_FAIL = 2;

// One state per inner node of the code tree, 16 transitions each.
const { next, symbol, flags, accepting } = buildAutomaton();

function buildAutomaton() {
  const children: [number, number][] = [[-1, -1]]; // >= 0: node, < -1: leaf -(symbol + 2), -1: none
  const paddingDepth: number[] = [0]; // depth if only ones lead here, else -1
  const order = HUFFMAN_CODE_LENGTHS.map((length, sym) => ({ length, sym })).sort((a, b) => a.length - b.length || a.sym - b.sym);
  let code = 0;
  let previous = order[0].length;
  for (const { length, sym } of order) {
    code = code * 2 ** (length - previous);
    previous = length;
    let node = 0;
    for (let bit = length - 1; bit >= 0; bit--) {
      const b = Math.floor(code / 2 ** bit) % 2;
      if (bit === 0) {
        children[node][b] = -(sym + 2);
      } else {
        if (children[node][b] === -1) {
          children.push([-1, -1]);
          paddingDepth.push(b === 1 && paddingDepth[node] >= 0 ? paddingDepth[node] + 1 : -1);
          children[node][b] = children.length - 1;
        }
        node = children[node][b];
      }
    }
    code++;
  }
  const next = new Uint16Array(children.length * 16);
  const symbol = new Uint8Array(children.length * 16);
  const flags = new Uint8Array(children.length * 16);
  for (let state = 0; state < children.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state;
      const slot = state * 16 + nibble;
      for (let bit = 3; bit >= 0; bit--) {
        const child = children[node][(nibble >> bit) & 1];
        if (child >= 0) {
          node = child;
        } else {
          const sym = -child - 2;
          if (sym === EOS || child === -1) {
            flags[slot] |= FLAG_FAIL;
            break;
          }
          flags[slot] |= FLAG_EMIT; // at most one: the shortest code has five bits
          symbol[slot] = sym;
          node = 0;
        }
      }
      next[slot] = node;
    }
  }
  // Padding is the most significant bits of EOS, at most seven of them.
  const accepting = Uint8Array.from(paddingDepth, (depth) => (depth >= 0 && depth <= 7 ? 1 : 0));
  return { next, symbol, flags, accepting };
}

/**
 * Decodes buf[start, end) into out from position 0.
 * @returns the number of octets, or -1 when the code is broken or out is too small
 */
export function huffmanDecode(buf: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let state = 0;
  let length = 0;
  const room = out.length - 1; // one octet of input makes at most two of output; checked before each
  for (let i = start; i < end; i++) {
    if (length >= room) return -1;
    const octet = buf[i];
    let slot = state * 16 + (octet >> 4);
    let flag = flags[slot];
    if (flag !== 0) {
      if ((flag & FLAG_FAIL) !== 0) return -1;
      out[length++] = symbol[slot];
    }
    slot = next[slot] * 16 + (octet & 15);
    flag = flags[slot];
    if (flag !== 0) {
      if ((flag & FLAG_FAIL) !== 0) return -1;
      out[length++] = symbol[slot];
    }
    state = next[slot];
  }
  return accepting[state] === 1 ? length : -1;
}
