// GET /metrics of every program: a page is written when it is asked for, shared by scrapes that come too often, and
// never kept for slow readers.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CONTENT_TYPES, Exposition, type Format, formatFor } from './exposition.ts';
import { systemTimers, type Timers } from './timers.ts';

/** Writing pages may take 5 % of the time, 50 ms in one burst; scrapes beyond that get the last page again. */
const WRITING_SHARE = 0.05;
const WRITING_BURST_MS = 50;
/** Pages that are being sent at a time, however slowly they are read: a bound on the memory that they hold. */
export const MOST_PAGES = 4;
/** A scrape that has not read its page by then is cut off: Prometheus' own timeout. */
export const READ_TIMEOUT_MS = 10_000;

interface Page {
  readonly body: Buffer;
  readers: number;
}

export class MetricsPage {
  private readonly write: (out: Exposition) => void;
  private readonly timers: Timers;
  private readonly monotonicMs: () => number;
  private readonly last = new Map<Format, Page>();
  /** Pages that are still being read. */
  private beingRead = 0;
  private budgetMs = WRITING_BURST_MS;
  private budgetAtMs: number;

  /** @param write puts the families on the page */
  constructor(write: (out: Exposition) => void, timers: Timers = systemTimers, monotonicMs: () => number = () => performance.now()) {
    this.write = write;
    this.timers = timers;
    this.monotonicMs = monotonicMs;
    this.budgetAtMs = monotonicMs();
  }

  /** Answers a GET or HEAD in the format that it accepts. */
  answer(request: IncomingMessage, response: ServerResponse): void {
    const format = formatFor(request.headers.accept);
    const page = this.pageIn(format);
    response.writeHead(200, {
      'content-type': CONTENT_TYPES[format],
      'content-length': page.body.length,
      'cache-control': 'no-store',
      vary: 'accept',
    });
    if (request.method === 'HEAD') return void response.end();
    if (page.readers++ === 0) this.beingRead++;
    const cancel = this.timers.after(READ_TIMEOUT_MS, () => response.destroy());
    response.once('close', () => {
      cancel();
      if (--page.readers > 0) return;
      this.beingRead--;
      if (this.budgetMs > 0 && this.last.get(format) === page) this.last.delete(format);
    });
    response.end(page.body);
  }

  private pageIn(format: Format): Page {
    const beganMs = this.monotonicMs();
    this.budgetMs = Math.min(WRITING_BURST_MS, this.budgetMs + (beganMs - this.budgetAtMs) * WRITING_SHARE);
    this.budgetAtMs = beganMs;
    const last = this.last.get(format);
    if (last !== undefined && (this.budgetMs <= 0 || this.beingRead >= MOST_PAGES)) return last;
    const out = new Exposition(format);
    this.write(out);
    const page: Page = { body: Buffer.from(out.toString()), readers: 0 };
    this.budgetMs -= this.monotonicMs() - beganMs;
    this.last.set(format, page);
    return page;
  }
}
