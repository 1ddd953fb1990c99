// Connections that are passed as TCP, counted by direction and Service.
import { type Exposition, labelText } from '#core/program/exposition.ts';
import type { Metric } from '#core/program/metrics.ts';

/** Direction and Service with counters of their own; past it new ones are counted as Service "other". */
const MAX_SERIES = 200;
/** What had no connection for so long is dropped, in ms. */
const IDLE_MS = 30 * 60_000;

export class TcpSeries {
  /** Label pairs as on the page. */
  readonly labels: string;
  connections = 0;
  open = 0;
  /** Octets from clients to servers, and back; counted when a connection ends. */
  sentBytes = 0;
  receivedBytes = 0;
  /** `connections` when expire() last looked, and when it last saw one open or new, monotonic ms. */
  private seen = -1;
  private usedMs = 0;

  constructor(labels: string) {
    this.labels = labels;
  }

  /** @returns whether there was no connection for IDLE_MS; to be asked now and then */
  idle(nowMs: number): boolean {
    if (this.connections !== this.seen || this.open > 0) {
      this.seen = this.connections;
      this.usedMs = nowMs;
    }
    return nowMs - this.usedMs > IDLE_MS;
  }
}

/** One family of the page, and what it shows of a series. */
interface TcpFamily {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly value: (series: TcpSeries) => number;
}

const FAMILIES: readonly TcpFamily[] = [
  {
    name: 'weft_tcp_connections_total',
    type: 'counter',
    help: 'Connections passed as TCP.',
    value: ({ connections }) => connections,
  },
  {
    name: 'weft_tcp_connections_open',
    type: 'gauge',
    help: 'Connections passed as TCP that are open.',
    value: ({ open }) => open,
  },
  {
    name: 'weft_tcp_sent_bytes_total',
    type: 'counter',
    help: 'Octets from clients to servers on TCP connections that have ended.',
    value: ({ sentBytes }) => sentBytes,
  },
  {
    name: 'weft_tcp_received_bytes_total',
    type: 'counter',
    help: 'Octets from servers to clients on TCP connections that have ended.',
    value: ({ receivedBytes }) => receivedBytes,
  },
];

export class TcpStats implements Metric {
  private readonly series = new Map<string, TcpSeries>();

  /** A connection has been joined to its target. @param service "ns/name:port" @returns to be called at its end */
  opened(direction: 'inbound' | 'outbound', service: string): (sentBytes: number, receivedBytes: number) => void {
    const series = this.seriesFor(direction, service);
    series.connections++;
    series.open++;
    return (sentBytes, receivedBytes) => {
      series.open--;
      series.sentBytes += sentBytes;
      series.receivedBytes += receivedBytes;
    };
  }

  all(): Iterable<TcpSeries> {
    return this.series.values();
  }

  /** Puts its families on the page. */
  write(out: Exposition): void {
    for (const { name, type, help, value } of FAMILIES) {
      out.family(name, type, help);
      for (const series of this.series.values()) out.sample(name, series.labels, value(series));
    }
  }

  /** To be called now and then. */
  expire(nowMs: number): void {
    for (const [labels, series] of this.series) if (series.idle(nowMs)) this.series.delete(labels);
  }

  private seriesFor(direction: string, service: string): TcpSeries {
    const wanted = labelText({ direction, service });
    const labels = this.series.size < MAX_SERIES || this.series.has(wanted) ? wanted : labelText({ direction, service: 'other' });
    let series = this.series.get(labels);
    if (series === undefined) this.series.set(labels, (series = new TcpSeries(labels)));
    return series;
  }
}
