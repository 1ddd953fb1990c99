// Quantities as people write them.
import { expect } from 'chai';
import { parseQuantity } from '#core/contract/quantity.ts';

describe('quantities', () => {
  it('are those of Kubernetes', () => {
    const values = {
      '1': 1,
      '0.5': 0.5,
      '.5': 0.5,
      '1.': 1,
      '100m': 0.1,
      '2k': 2000,
      '64Mi': 67_108_864,
      '1e3': 1000,
      '1E2': 100,
      '2E': 2e18,
      '+1': 1,
    };
    for (const [text, value] of Object.entries(values)) expect(parseQuantity(text), text).to.equal(value);
    for (const text of ['', 'm', '-1', '64MB', '1 Mi', '1K', 'NaN', '0x10', '1,5', 'Infinity', '1'.repeat(30)])
      expect(parseQuantity(text), text).to.equal(null);
  });
});
