// `weft trace`: one trace from Jaeger as text.
import { Argument, Command, Option } from 'commander';
import { UsageError } from '#core/program/failure.ts';
import { httpUrl } from '#core/program/http-url.ts';
import { styleFor } from '../print/style.ts';
import type { Terminal } from '../print/terminal.ts';
import { drawTrace, statusOf } from './drawing.ts';
import { fetchTrace } from './jaeger.ts';
import { type Tree, treeOf } from './tree.ts';

interface Options {
  readonly jaeger?: string;
  readonly output: 'text' | 'json';
}

/** Where a Jaeger on this machine, or a port-forward to one, answers. */
const DEFAULT_JAEGER = 'http://127.0.0.1:16686';
/** Width where there is no terminal to ask. */
const PLAIN_COLUMNS = 120;

const EXAMPLE = `
The trace of a slow and of a failed call is in the view of weft run, in weft status calls and in access logs.

Examples:
  weft trace 4bf92f3577b34da6a3ce929d0e0e4736
  kubectl -n weft-observability port-forward service/jaeger 16686 &
  weft trace 4bf92f3577b34da6a3ce929d0e0e4736 --jaeger http://127.0.0.1:16686 -o json`;

/** The verb `trace`. Its action throws Failure and UsageError. */
export function traceCommand({ stdout, env }: Pick<Terminal, 'stdout' | 'env'>): Command {
  return new Command('trace')
    .description("Draw a trace as text: which sidecar and service took how long, by which route and to which pod. From Jaeger's query API.")
    .addArgument(new Argument('<id>', 'of the trace: 32 hexadecimal digits; zeros at its beginning may be missing'))
    .addOption(new Option('--jaeger <url>', `Jaeger's query API (default: $WEFT_JAEGER_URL, else ${DEFAULT_JAEGER})`))
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLE)
    .action(async (word: string, options: Options) => {
      const id = traceIdOf(word);
      const [url, what] =
        options.jaeger !== undefined ? [options.jaeger, '--jaeger'] : [env.WEFT_JAEGER_URL || DEFAULT_JAEGER, 'WEFT_JAEGER_URL'];
      const tree = treeOf(await fetchTrace(httpUrl(url, what), id));
      const columns = stdout.columns || PLAIN_COLUMNS;
      const lines = options.output === 'json' ? [jsonOf(id, tree)] : drawTrace(id, tree, { columns, style: styleFor(stdout, env) });
      stdout.write(`${lines.join('\n')}\n`);
    });
}

/**
 * The whole id, lower case.
 * @throws UsageError that names the id where something holds one: a traceparent, a UUID
 */
export function traceIdOf(word: string): string {
  const text = word.trim().toLowerCase();
  if (/^[0-9a-f]{1,32}$/.test(text) && /[1-9a-f]/.test(text)) return text.padStart(32, '0');
  const [, inside] = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-/.exec(text) ?? [];
  const joined = text.replace(/-/g, '');
  const guess = inside ?? (/^[0-9a-f]{32}$/.test(joined) && /[1-9a-f]/.test(joined) ? joined : undefined);
  const hint =
    guess !== undefined ? `did you mean ${guess}?` : 'it is 32 hexadecimal digits, not all zero, such as 4bf92f3577b34da6a3ce929d0e0e4736';
  throw new UsageError(`${JSON.stringify(word.slice(0, 100))} is not the id of a trace: ${hint}`);
}

/** For programs: spans in the drawing's order, times in ms since the trace's start. */
function jsonOf(traceId: string, { rows, startUs, durationUs }: Tree): string {
  const ms = (us: number) => us / 1000;
  const spans = rows.map(({ span, remark }) => ({
    spanId: span.spanId,
    parentId: span.parentId || null,
    service: span.service,
    name: span.name,
    startMs: ms(span.startUs - startUs),
    durationMs: ms(span.durationUs),
    status: statusOf(span).text || null,
    error: statusOf(span).bad,
    remark: remark || null,
    attributes: Object.fromEntries(span.attributes),
    events: span.events.map(({ name, atUs, attributes }) => ({
      name,
      atMs: ms(atUs - startUs),
      attributes: Object.fromEntries(attributes),
    })),
  }));
  return harmlessJson({ traceId, startUnixMs: ms(startUs), durationMs: ms(durationUs), spans });
}

/** The same values; what could drive a terminal is escaped, which JSON itself wants of the first 32 characters only. */
function harmlessJson(value: unknown): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value, null, 2).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => one.split('').map(escaped).join(''));
}
