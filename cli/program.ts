// The `weft` command: its verbs, and the exit codes of wrong usage and of failures.
import { Command, CommanderError } from 'commander';
import { VERSION } from '#core/contract/version.ts';
import { EXIT_FAILED, EXIT_USAGE, Failure, UsageError } from '#core/program/failure.ts';
import { caCommand } from './ca/command.ts';
import { checkCommand } from './check/command.ts';
import { explainCommand } from './explain/command.ts';
import { injectCommand } from './inject/command.ts';
import { installCommand } from './install/command.ts';
import { migrateCommand } from './migrate/command.ts';
import type { Terminal } from './print/terminal.ts';
import { runCommand } from './run/command.ts';
import { statusCommand } from './status/command.ts';
import { traceCommand } from './trace/command.ts';
import { uninstallCommand } from './uninstall/command.ts';
import { versionCommand } from './version/command.ts';

/**
 * Runs the command line.
 * @param words the arguments after the program's name
 * @returns the exit code: 0 fine (or what the verb has set itself), 1 failed, 2 wrong usage. Bugs are thrown.
 */
export async function runProgram(words: readonly string[], terminal: Terminal): Promise<number> {
  const program = new Command('weft')
    .description('A GAMMA service mesh: GRPCRoutes on Services, canary weights, mTLS; on Kubernetes or on your laptop.')
    .version(VERSION, '-V, --version', 'say the version')
    .helpCommand('help [verb]', 'say how a verb is used')
    .addCommand(runCommand())
    .addCommand(explainCommand(terminal))
    .addCommand(installCommand(terminal))
    .addCommand(injectCommand(terminal))
    .addCommand(uninstallCommand(terminal))
    .addCommand(checkCommand(terminal))
    .addCommand(statusCommand(terminal))
    .addCommand(traceCommand(terminal))
    .addCommand(caCommand(terminal))
    .addCommand(migrateCommand(terminal))
    .addCommand(versionCommand(terminal));
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .showSuggestionAfterError()
      .configureOutput({ writeOut: (text) => terminal.stdout.write(text), writeErr: (text) => terminal.stderr.write(text) });
  }
  try {
    await program.parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    if (error instanceof UsageError || error instanceof Failure) {
      terminal.stderr.write(`weft: ${error.message}\n`);
      return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
    }
    throw error;
  }
}
