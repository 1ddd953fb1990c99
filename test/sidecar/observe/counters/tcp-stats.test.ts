// Counters of TCP connections: bounded in number, and dropped only when nobody connects any more.
import { expect } from 'chai';
import { TcpStats } from '#sidecar/observe/counters/tcp-stats.ts';

const minutes = (n: number): number => n * 60_000;

describe('TCP connections', () => {
  it('count as "other" past 200 Services', () => {
    const stats = new TcpStats();
    for (let i = 0; i < 300; i++) stats.opened('outbound', `shop/db${i}:5432`);
    const all = [...stats.all()];
    expect(all).to.have.length(201);
    expect(all.find(({ labels }) => labels.includes('"other"'))!.connections).to.equal(100);
  });

  it('go half an hour after the last one, also where each is over before anybody looks', () => {
    const stats = new TcpStats();
    const close = stats.opened('outbound', 'shop/idle:5432');
    for (let minute = 1; minute <= 40; minute++) {
      stats.opened('outbound', 'shop/brief:5432')(1, 2);
      if (minute === 2) close(0, 0);
      stats.expire(minutes(minute));
    }
    expect([...stats.all()].map(({ labels, connections }) => [labels, connections])).to.deep.equal([
      ['direction="outbound",service="shop/brief:5432"', 40],
    ]);
    stats.expire(minutes(71));
    expect([...stats.all()]).to.deep.equal([]);
  });
});
