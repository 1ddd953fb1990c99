// The logger of all programs: one line per event, JSON for machines or text for people. It comes in as an argument and
// is never global.

import type { LogLevel } from '../contract/log-levels.ts';

export type LogFormat = 'json' | 'text';
export type LogFields = Readonly<Record<string, unknown>>;

const RANK: Readonly<Record<LogLevel | 'off', number>> = { debug: 0, info: 1, warn: 2, error: 3, off: 4 };
// A line longer than this is cut: a hostile name must not fill a disk.
const LONGEST_VALUE = 4096;

export interface Logger {
  debug(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
  /** Whether a line of this level would be written; ask before making costly fields. */
  enabled(level: LogLevel): boolean;
  /** The same logger, its lines marked with the component and with these fields. */
  child(component: string, fields?: LogFields): Logger;
}

export interface LoggerOptions {
  readonly level: LogLevel | 'off';
  readonly format: LogFormat;
  readonly component?: string;
  readonly fields?: LogFields;
  /** Takes one line without its end. */
  readonly write: (line: string) => void;
  /** Unix time in milliseconds. */
  readonly now: () => number;
}

/**
 * A logger that writes through `settings.write`. JSON lines have `time` (RFC 3339), `level`, `msg`, `component`, then
 * the fields. An Error among the fields is written as its message. Never throws, whatever the fields hold.
 */
export function createLogger(settings: LoggerOptions): Logger {
  const least = RANK[settings.level];
  const line = settings.format === 'json' ? jsonLine : textLine;
  const emit = (level: LogLevel, msg: string, fields: LogFields | undefined): void => {
    if (RANK[level] < least) return;
    settings.write(line(new Date(settings.now()).toISOString(), level, msg, settings.component, { ...settings.fields, ...fields }));
  };
  return {
    debug: (msg, fields) => emit('debug', msg, fields),
    info: (msg, fields) => emit('info', msg, fields),
    warn: (msg, fields) => emit('warn', msg, fields),
    error: (msg, fields) => emit('error', msg, fields),
    enabled: (level) => RANK[level] >= least,
    child: (component, fields) => createLogger({ ...settings, component, fields: { ...settings.fields, ...fields } }),
  };
}

/** A logger that writes nothing. */
export const silentLogger: Logger = createLogger({ level: 'off', format: 'text', write: () => {}, now: () => 0 });

function jsonLine(time: string, level: LogLevel, msg: string, component: string | undefined, fields: LogFields): string {
  const record: Record<string, unknown> = { time, level, msg: cut(msg) };
  if (component !== undefined) record.component = component;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    record[name in record ? `field_${name}` : name] = plain(value);
  }
  return JSON.stringify(record);
}

function textLine(time: string, level: LogLevel, msg: string, component: string | undefined, fields: LogFields): string {
  let text = `${time} ${level.padEnd(5)} ${component === undefined ? '' : `${component}: `}${cut(msg)}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const shown = plain(value);
    text += ` ${name}=${typeof shown === 'string' && /^[^\s"=]+$/.test(shown) ? shown : JSON.stringify(shown)}`;
  }
  return oneLine(text);
}

// A line stays one line, and what a peer or a file has sent cannot steer a terminal (CWE-117).
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function cut(text: string): string {
  return text.length <= LONGEST_VALUE ? text : `${text.slice(0, LONGEST_VALUE)}…`;
}

function plain(value: unknown): unknown {
  if (typeof value === 'string') return cut(value);
  if (value instanceof Error) return cut(value.message);
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value;
  try {
    const json = JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner));
    if (json === undefined) return String(value);
    return json.length <= LONGEST_VALUE ? JSON.parse(json) : cut(json);
  } catch {
    return '(not printable)';
  }
}
