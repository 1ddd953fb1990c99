// The node agent's settings, read from its environment. All mistakes are reported together.
import { isLogLevel, LOG_LEVELS, type LogLevel } from '#core/contract/log-levels.ts';
import { CONTROL_PLANE_VIEW_PORT } from '#core/contract/names.ts';
import type { LogFormat } from '#core/program/log.ts';

export interface NodeAgentSettings {
  /** WEFT_NODE_NAME: the node whose pods it captures. */
  readonly node: string;
  /** WEFT_LOG_LEVEL, WEFT_LOG_FORMAT. */
  readonly logLevel: LogLevel | 'off';
  readonly logFormat: LogFormat;
  /** Of probes and metrics. */
  readonly healthPort: number;
}

/** @returns the settings, or one message per mistake */
export function readNodeAgentSettings(
  env: Readonly<Record<string, string | undefined>>,
): { settings: NodeAgentSettings } | { problems: string[] } {
  const problems: string[] = [];
  const node = env.WEFT_NODE_NAME ?? '';
  if (node === '') problems.push('WEFT_NODE_NAME is not set: the node whose pods the agent captures');
  const level = env.WEFT_LOG_LEVEL || 'info';
  if (!isLogLevel(level)) problems.push(`WEFT_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}, not "${level}"`);
  const format = env.WEFT_LOG_FORMAT || 'json';
  if (format !== 'json' && format !== 'text') problems.push(`WEFT_LOG_FORMAT must be json or text, not "${format}"`);
  if (problems.length > 0) return { problems };
  return { settings: { node, logLevel: level as LogLevel, logFormat: format as LogFormat, healthPort: CONTROL_PLANE_VIEW_PORT } };
}
