// `weft version`: what runs here.
import { Command, Option } from 'commander';
import { VERSION } from '#core/contract/version.ts';
import type { Terminal } from '../print/terminal.ts';

/** The verb `version`. */
export function versionCommand({ stdout }: Pick<Terminal, 'stdout'>): Command {
  return new Command('version')
    .description('Say the versions of weft and of the Node that runs it.')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .action(({ output }: { output: 'text' | 'json' }) => {
      const versions = { weft: VERSION, node: process.versions.node };
      stdout.write(output === 'json' ? `${JSON.stringify(versions)}\n` : `weft ${versions.weft}, Node ${versions.node}\n`);
    });
}
